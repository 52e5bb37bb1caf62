"""The ten situations whose texts are fixed, from objects as the operator writes them."""

import re
from pathlib import Path

from explained import (
    HASH,
    ago,
    done,
    facts,
    failed,
    needing,
    observed,
    partition,
    pod,
    running,
    session,
    submitted,
    task,
    tried,
    waiting_container,
    written,
)

from armonik_operator.cache.partition_load import PartitionLoad
from armonik_operator.planning.partition import Observed
from armonik_operator.planning.task import DependencyState
from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.records import RecordKind
from armonik_sdk.explain import Explanation, Facts, explain
from armonik_sdk.explain.facts import Pod

TEXTS = {
    name: text.rstrip("\n")
    for name, text in re.findall(
        r"^# (.*)\n((?:(?!# ).*\n)+)", (Path(__file__).parent / "texts.txt").read_text(), re.MULTILINE
    )
}


def test_there_are_ten_texts() -> None:
    assert len(TEXTS) == 10


def check(situation: str, made: Facts, reason: str) -> Explanation:
    found = explain(made)
    assert found.text == TEXTS[situation]
    assert found.reason == reason
    assert Explanation.model_validate_json(found.model_dump_json(by_alias=True)).why == found.why
    return found


def test_queued() -> None:
    pods = [pod("default-a", ready=True), pod("default-b", ready=True)]
    load = PartitionLoad(runs=9, elements=9, owners={"default-a": 1, "default-b": 1})
    place, of = observed(partition(), pods, Observed(HASH, load, rate=2070)), session()
    records = [done(0, 58), running(58, 59), running(59, 60), submitted(60, 1000)]
    waits = written(task("squares", 1000), of, place, records, ahead=12_400)
    found = check("queued", facts(waits, session=of, partition=place), "Queued")
    assert found.likely_seconds == 359
    assert found.gist.startswith("all 2 pods of partition default are busy, and 12,400 elements")


def test_no_pod_fits() -> None:
    words = (
        "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
        " preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
    )
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    pods = [pod("gpu-x7k2p", "gpu", conditions=[said])]
    place, of = observed(partition("gpu"), pods), session("demo", "gpu")
    waits = written(task("train", 64), of, place, [submitted(0, 64)])
    for known in (pods, []):  # with and without the right to read pods
        found = check("no pod fits", facts(waits, session=of, partition=place, pods=known), "NoPods")
        assert [link.reason for link in found.chain] == ["Unschedulable"] * (1 + len(known))
        assert found.since == ago(minutes=4)


def test_image() -> None:
    words = (
        'Back-off pulling image "registry.example/hello:1": ErrImagePull: rpc error: code = NotFound'
        ' desc = failed to pull and unpack image "registry.example/hello:1": failed to resolve'
        ' reference "registry.example/hello:1": registry.example/hello:1: not found'
    )
    pods = [pod("default-x7k2p", **waiting_container("ImagePullBackOff", words))]
    place, of = observed(partition(image="registry.example/hello:1"), pods), session("hello")
    waits = written(task("hello", of="hello"), of, place, [submitted(0, 1)])
    found = check("image", facts(waits, session=of, partition=place, pods=pods), "NoPods")
    assert [link.subject for link in found.chain] == ["partition default", "pod default-x7k2p"]


def test_an_image_by_the_event_of_its_pod() -> None:
    """Older kubelets say no more than that they wait; their event does."""
    words = 'Back-off pulling image "registry.example/hello:1"'
    failed_pull = 'Failed to pull image "registry.example/hello:1": rpc error: code = NotFound desc = x'
    event = {"message": f"{failed_pull}: not found"}
    pods = [pod("default-x7k2p", **waiting_container("ImagePullBackOff", words))]
    place, of = observed(partition(image="registry.example/hello:1"), pods), session("hello")
    waits = written(task("hello", of="hello"), of, place, [submitted(0, 1)])
    known = [Pod.of(pods[0], [event])]
    check("image", facts(waits, session=of, partition=place, pods=known), "NoPods")


def test_worker_crashes() -> None:
    ended = {"lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}, "restartCount": 6}
    words = "back-off 2m40s restarting failed container=worker pod=default-x7k2p_default"
    pods = [pod("default-x7k2p", **waiting_container("CrashLoopBackOff", words, **ended))]
    log = (
        "Traceback (most recent call last):\n  File \"/x\"\nModuleNotFoundError: No module named 'function'\n"
    )
    place, of = observed(partition(), pods), session("hello")
    waits = written(task("hello", of="hello"), of, place, [submitted(0, 1)])
    known = [Pod.of(pods[0], (), log)]
    check("worker crashes", facts(waits, session=of, partition=place, pods=known), "NoPods")


def test_waits_for_data() -> None:
    of, place = session(), observed(partition(), [pod("default-a", ready=True)])
    records = [done(0, 18), running(18, 20), submitted(20, 30)]
    parse = written(task("parse", 30, created=ago(minutes=1)), of, place, records)
    reduce = task("reduce", dependsOn=[{"task": "parse"}])
    waits = written(reduce, of, place, readiness=needing("12 of 30 elements of task parse have not ended"))
    behind = {"parse": facts(parse, session=of, partition=place)}
    found = check("waits for data", facts(waits, session=of, tasks=behind), "WaitingForData")
    assert found.likely_seconds == 40


def test_name_that_is_not_there() -> None:
    of, place = session(), observed(partition(), [])
    missing = needing("task prase does not exist in session demo; create it", DependencyState.MISSING)
    reduce = task("reduce", dependsOn=[{"task": "prase"}])
    waits = written(reduce, of, place, readiness=missing)
    known = facts(waits, session=of, missing=frozenset({"prase"}), names=["fetch", "parse", "reduce"])
    check("name that is not there", known, "DependencyNotFound")


def test_no_partition() -> None:
    of = session("demo", "gpus")
    waits = written(task("hello"), of, None)
    check("no partition", facts(waits, session=of, partitions=["default", "gpu"]), "PartitionNotFound")


def test_paused() -> None:
    of, place = session(desiredState="Paused"), observed(partition(), [])
    parked = submitted(60, 1000, kind=RecordKind.PAUSED)
    waits = written(task("squares", 1000), of, place, [done(0, 60), parked])
    found = check("paused", facts(waits, session=of), "Paused")
    assert found.since == ago(hours=2)


def test_tries_again() -> None:
    of, place = session(), observed(partition(), [pod("default-a", ready=True)])
    words = "ConnectionError: store.example refused the connection"
    again = [
        tried(17, 2, words, seconds=14),
        tried(40, 1, words, seconds=20),
        tried(93, 1, words, seconds=20),
    ]
    records = [done(0, 17), done(18, 40), done(41, 93), done(94, 200), *again]
    waits = written(task("fetch", 200), of, place, records)
    check("tries again", facts(waits, session=of), "BackOff")


def test_failed() -> None:
    of, place = session("demo", "gpu"), observed(partition("gpu", memory="2Gi"), [])
    killed = "was killed by SIGKILL, perhaps for want of memory"
    records = [
        failed(7, FailureReason.WORKER_ERROR, "ValueError: empty batch"),
        failed(12, FailureReason.WORKER_ERROR, "ValueError: empty batch"),
        failed(40, FailureReason.ATTEMPTS_EXHAUSTED, killed, 4),
        *(done(start, end) for start, end in ((0, 7), (8, 12), (13, 40), (41, 64))),
    ]
    over = written(task("train", 64), of, place, records)
    check("failed", facts(over, session=of, partition=place), "Failed")


def test_failures_that_the_status_does_not_have_are_not_passed_over() -> None:
    """It has those of the ten lowest indexes, whatever they are; what matters may come later."""
    of, killed = session("demo"), "was killed by SIGKILL, perhaps for want of memory"
    early = [failed(index, FailureReason.WORKER_ERROR, "ValueError: empty batch") for index in range(10)]
    late = failed(40, FailureReason.ATTEMPTS_EXHAUSTED, killed, 4)
    rest = [done(10, 40), done(41, 64)]
    found = explain(facts(written(task("train", 64), of, None, [*early, late, *rest]), session=of))
    assert found.why.startswith("11 elements failed, 1 kind of failure (of the first 10):\n")
    assert found.why.endswith("why 1 element more failed is not in the status: there may be other kinds")
    assert found.look[0] == "armonikctl task failures train --limit 11"


def test_elements_that_were_cancelled_are_not_shown_as_those_that_failed() -> None:
    of = session("demo")
    late = failed(40, FailureReason.WORKER_ERROR, "ValueError: empty batch")
    records = [submitted(0, 20, kind=RecordKind.CANCELLED), done(20, 40), late, done(41, 64)]
    found = explain(facts(written(task("train", 64), of, None, records), session=of))
    assert found.why == "1 element failed; why is not in the status, which has the lowest indexes only."
    assert found.look == ["armonikctl task failures train"]


def test_durations_need_a_clock_and_nothing_else() -> None:
    """The text of the same facts is the same."""
    of = session(desiredState="Paused")
    waits = written(task("squares", 2), of, None, [submitted(0, 2, kind=RecordKind.PAUSED)])
    assert explain(facts(waits, session=of)) == explain(facts(waits, session=of))
    assert explain(facts(waits, session=of)).text == explain(facts(waits, session=of)).text


def test_the_schema_has_the_documented_fields_each_with_its_meaning() -> None:
    schema = Explanation.model_json_schema(mode="serialization")
    about = ["subject", "state", "reason", "why", "since", "likelySeconds", "mend", "look", "chain"]
    assert list(schema["properties"]) == ["apiVersion", "kind", *about]
    described = [name for name, field in schema["properties"].items() if "description" in field]
    assert described == about
