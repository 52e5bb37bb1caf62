"""What `doctor` makes of what it saw: facts in, findings out."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from armonik_sdk.cli.doctor import cluster, space, work
from armonik_sdk.cli.doctor.findings import Finding, Level, failure, ok, skipped, summary, warning

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
ABOUT = cluster.Connection("https://10.0.0.1:6443", "kind-kind", "~/.kube/config", "default")


def before(time: timedelta) -> str:
    return (NOW - time).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind: str, status: str, reason: str = "", message: str = "", since: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since}


def partition(name: str, *conditions: dict[str, str], ready: int = 0, **worker: str) -> dict[str, Any]:
    status = {"conditions": list(conditions), "readyReplicas": ready, "worker": worker}
    return {"metadata": {"name": name}, "spec": {"podMax": 4}, "status": status}


def test_a_line_has_its_level_its_check_and_below_it_what_to_do() -> None:
    assert ok("nats", "reached").lines() == ["ok    nats        reached"]
    assert failure("store", "refuses", "Set the clock.", "Nothing is lost.").lines() == [
        "FAIL  store       refuses",
        f"      {'mend':<12}Set the clock.",
        "      note        Nothing is lost.",
    ]
    assert warning("space", "full").as_json() == {"check": "space", "level": "warn", "text": "full"}


def test_what_a_worker_says_of_itself_does_nothing_to_a_terminal() -> None:
    (found,) = work.versions("0.2.0", "3.12", "0.2.0", [partition("p", sdk="\x1b[2J\x1b]0;x\x07")])
    assert found.lines()[0].endswith("workers have \\x1b[2J\\x1b]0;x\\x07")


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ([], "No problems."),
        ([ok("a", "")], "No problems."),
        ([failure("a", ""), failure("b", ""), warning("c", "")], "2 problems, 1 warning."),
        ([warning("c", ""), warning("d", "")], "2 warnings."),
    ],
)
def test_the_end_counts_problems_and_warnings(found: list[Finding], text: str) -> None:
    assert summary(found) == text


def test_the_apiserver() -> None:
    seen = cluster.Connection(**{**vars(ABOUT), "version": "1.34.4", "milliseconds": 12.3, "user": "alice"})
    text = "1.34.4 answers in 12 ms, as alice in namespace default (context kind-kind)"
    assert cluster.apiserver(seen) == ok("apiserver", text)
    silent = cluster.apiserver(cluster.Connection(**{**vars(ABOUT), "error": "no answer within 5 s"}))
    assert silent.level is Level.FAIL
    assert "https://10.0.0.1:6443 does not answer (context kind-kind in ~/.kube/config)" in silent.text
    assert "armonikctl --context NAME doctor" in silent.mend


@pytest.mark.parametrize("served", [None, [], ["tasks", "partitions", "tasks/status"]])
def test_kinds_that_are_missing(served: list[str] | None) -> None:
    found = cluster.kinds(served, "v1alpha1")
    assert found == failure("kinds", "the cluster does not know sessions.armonik.io", cluster.INSTALL)
    assert cluster.kinds(list(cluster.KINDS), "v1alpha1").level is Level.OK


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        ("create sessions", "you may not create sessions.armonik.io in namespace team-a (user alice)"),
        ("create tasks", "you may not create tasks.armonik.io in namespace team-a (user alice)"),
        ("read results", "you may not get secret armonik-client in namespace team-a (user alice)"),
    ],
)
def test_rights_that_are_missing(missing: str, text: str) -> None:
    allowed = {what: what != missing for what in cluster.RIGHTS}
    found = cluster.rights(allowed, "alice", "team-a")
    assert (found.level, found.text) == (Level.FAIL, text)
    bind = "kubectl -n team-a create rolebinding alice-edit --clusterrole edit --user alice"
    assert found.mend == f"An administrator: {bind}"


def test_rights_that_users_need_not_have() -> None:
    allowed = {what: what != "change partitions" for what in cluster.RIGHTS}
    text = "you may create sessions and tasks, read results, not change partitions"
    assert cluster.rights(allowed, "alice", "team-a") == ok("rights", text)


def test_the_operator() -> None:
    ready = condition("Ready", "True", since=before(timedelta(hours=3)))
    pod: dict[str, Any] = {"metadata": {}, "status": {"phase": "Running", "conditions": [ready]}}
    assert cluster.operator([pod], "armonik-system", "0.2.0", NOW) == ok("operator", "0.2.0, ready for 3h")
    read = cluster.operator([pod], "armonik-system", "0.2.0", NOW, 0)
    assert read.text == "0.2.0, ready for 3h, 0 records behind the journal"
    crashed = {
        "metadata": {},
        "status": {
            "phase": "Running",
            "conditions": [condition("Ready", "False")],
            "containerStatuses": [{"restartCount": 6, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
        },
    }
    found = cluster.operator([crashed], "armonik-system", "0.2.0", NOW)
    assert found.text == (
        "no pod of deployment armonik-operator in armonik-system is ready: CrashLoopBackOff, 6 restarts"
    )
    assert found.mend == "kubectl -n armonik-system logs deploy/armonik-operator --previous"
    assert "there is none" in cluster.operator([], "armonik-system", "", NOW).text
    for unknown in (cluster.operator(None, "armonik-system", "", NOW), cluster.operator(None, "", "", NOW)):
        assert unknown.level is Level.SKIP


def test_nats() -> None:
    text = "reached through kubectl port-forward in 0.8 s; JetStream answers"
    assert work.nats(0.81, forwarded=True) == ok("nats", text)
    forbidden = work.nats(
        0.0, False, "kubectl port-forward is forbidden (pods/portforward in armonik-system)"
    )
    assert "armonik-connect" in forbidden.mend
    assert "armonik-connect" not in work.nats(0.0, False, "NATS at nats://x does not answer").mend


def test_the_store() -> None:
    assert work.store(31.2).text == "a probe of 1 KiB was written and read in 31 ms"
    skewed = work.store(0, "the difference is too large: RequestTimeTooSkewed", "2026-11-30T01:44Z")
    assert skewed.mend == "Set this machine's clock. (The apiserver's is 2026-11-30T01:44Z.)"
    assert "its keys" in work.store(0, "AccessDenied").mend


def test_partitions() -> None:
    serving = partition("default", condition("Ready", "True", "Serving"), ready=1)
    zero = partition("python", condition("Ready", "False", "ScaledToZero"), python="3.12")
    text = "default: 1 of 4 pods ready · python (Python 3.12): 0 of 4, scaled to zero"
    assert work.partitions([serving, zero], "n") == ok("partitions", text)
    broken = partition("gpu", condition("Ready", "False", "ImagePullFailed", "hello:1: not found"))
    found = work.partitions([serving, broken], "n")
    assert (found.level, found.text) == (Level.FAIL, "gpu: no ready pod: ImagePullFailed, hello:1: not found")
    assert found.mend == "armonikctl explain partition/gpu"
    assert work.partitions([], "n").level is Level.WARN
    assert "has not seen it" in work.partitions([partition("new")], "n").text


def _agent(image: str) -> dict[str, Any]:
    return {
        "spec": {"initContainers": [{"name": "agent", "image": image}, {"name": "x", "image": "x:9.9.9"}]}
    }


def test_versions() -> None:
    assert work.versions("0.2.0", "3.12", "0.2.0", []) == [ok("versions", "client and operator are 0.2.0")]
    assert work.versions("0.2.0", "3.12", "0.2.1", []) == [
        ok("versions", "the client is 0.2.0, the operator 0.2.1")
    ]
    (other,) = work.versions("0.3.0", "3.12", "0.1.0", [])
    assert other.level is Level.WARN
    assert other.mend == "Upgrade the chart, or: pip install 'armonik-k8s-sdk==0.1.*'"
    workers = [partition("python", kind="functions", python="3.11"), partition("x", kind="armonik")]
    pods = [_agent(image) for image in ("r/agent:0.2.0", "r/agent:v0.2.0@sha256:ab", "r/agent:latest")]
    assert work.versions("0.2.0", "3.12", "0.2.0", [], pods) == [
        ok("versions", "client, operator and 2 agents are 0.2.0")
    ]
    (old,) = work.versions("0.2.0", "3.12", "0.2.0", [], [*pods, _agent("r:5000/agent:0.1.3")])
    assert old.text == "1 of 3 agents are 0.1.3, the operator is 0.2.0"
    (python,) = work.versions("0.2.0", "3.13", "", workers)
    assert python.text.startswith("this Python is 3.13, the workers of partition python run 3.11")
    assert work.versions("0.2.0", "3.11", "", workers)[0].level is Level.OK


@pytest.mark.parametrize(
    ("used", "hard", "warned"),
    [("9", "10", True), ("8", "10", False), ("1900m", "2", True), ("1Gi", "2Gi", False)],
)
def test_quotas_that_are_nearly_used_up(used: str, hard: str, warned: bool) -> None:
    quota = {"metadata": {"name": "q"}, "status": {"hard": {"pods": hard}, "used": {"pods": used}}}
    found = work.quotas([quota])
    assert [finding.text for finding in found] == (
        [f"ResourceQuota q: {used} of {hard} pods are used"] if warned else []
    )
    assert [finding.level for finding in work.quotas(None)] == [Level.SKIP]


def test_a_deletion_that_does_not_end() -> None:
    sessions = [
        {"metadata": {"name": "stuck", "deletionTimestamp": before(timedelta(hours=1))}},
        {"metadata": {"name": "young", "deletionTimestamp": before(timedelta(minutes=1))}},
        {"metadata": {"name": "fine"}},
    ]
    (found,) = work.leftovers(sessions, NOW)
    assert found.text == "session stuck is being deleted for 60m"


def _stream(name: str, used: int, most: int = 0, *pending: int) -> dict[str, Any]:
    consumers = [{"num_pending": count} for count in pending]
    config = {"max_bytes": most or -1}
    return {"name": name, "state": {"bytes": used}, "config": config, "consumer_detail": consumers}


def _answer(*accounts: list[dict[str, Any]], used: int = 0) -> dict[str, Any]:
    details = [{"name": f"A{at}", "stream_detail": streams} for at, streams in enumerate(accounts)]
    return {"config": {"max_storage": 8_000_000_000}, "storage": used, "account_details": details}


def test_space() -> None:
    well = space.stored(
        _answer([_stream("JOURNAL", 12_300_000, 0, 3, 4), _stream("QUEUE", 0, 400_000_000), _stream("X", 9)]),
        0.8,
    )
    assert well.unread == 7
    assert space.space(well, []) == [ok("space", "journal 12 MB of 1.6 GB, queue 0 of 400 MB")]
    full = space.stored(_answer([_stream("JOURNAL", 1_460_000_000), _stream("QUEUE", 0, 400_000_000)]), 0.8)
    kept = {"status": {"phase": "Closed"}, "spec": {}}
    (found,) = space.space(full, [kept, {"status": {"phase": "Running"}, "spec": {}}])
    assert found.level is Level.WARN
    assert (
        found.text == "NATS' journal is 91% full (1.46 GB of 1.6 GB): from 70% on new work waits (QueueFull)"
    )
    assert "(1 have no time to live: armonikctl session list --phase Closed" in found.mend
    queue = space.stored(_answer([_stream("JOURNAL", 0), _stream("QUEUE", 395_000_000, 400_000_000)]), 0.8)
    (found,) = space.space(queue, [])
    assert found.text == "NATS' queue is 99% full (395 MB of 400 MB): what does not fit waits outside"


def test_the_space_of_namespaces_with_accounts_is_the_servers() -> None:
    own = [[_stream("JOURNAL", 1_000_000)], [_stream("JOURNAL", 2_000_000)]]
    assert space.space(space.stored(_answer(*own, used=4_000_000), 0.8), []) == [
        ok("space", "4 MB of 8 GB in 2 namespaces")
    ]
    (found,) = space.space(space.stored(_answer(*own, used=6_000_000_000), 0.8), [])
    assert found.text.startswith("NATS' file store is 75% full (6 GB of 8 GB)")


@pytest.mark.parametrize("said", [{}, {"account_details": [{"name": "A"}]}, [], "text"])
def test_space_that_is_not_known_is_skipped(said: Any) -> None:
    assert space.space(space.stored(said, 0.8), [])[0].level is Level.SKIP
    assert space.space("the port is closed", []) == [skipped("space", "the port is closed")]
