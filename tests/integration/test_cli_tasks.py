"""`armonikctl task` and `partition` against a real apiserver; the test plays the operator."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ctl import GROUP, Ctl, condition, ctl, later

from armonik_sdk.cli.actions.daily import logs
from armonik_sdk.cli.cluster.access import Cluster

__all__ = ["ctl"]
pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.fixture
def demo(ctl: Ctl) -> Ctl:
    """With a session."""
    ctl.ok("session", "create", "demo", "-p", "default", "-q")
    return ctl


def counts(**states: int) -> dict[str, int]:
    return {"total": sum(states.values()), **states}


def finished(reason: str) -> dict[str, Any]:
    return condition("Finished", "True", reason)


def test_a_task_is_submitted_with_what_the_command_line_says(demo: Ctl, tmp_path: Path) -> None:
    demo.ok("task", "submit", "-s", "demo", "parse", "--payload", "x")
    file = tmp_path / "payload"
    file.write_bytes(b"\xff\x00")
    made = demo.ok(
        *("task", "submit", "-s", "demo", "reduce", "--payload-file", str(file), "--count", "3"),
        *(
            "--depends-on",
            "parse",
            "--depends-on",
            "parse.result:0",
            "--output-name",
            "a",
            "--output-name",
            "b",
        ),
        *(
            "--priority",
            "9",
            "--timeout",
            "1m",
            "--max-retries",
            "2",
            "--option",
            "k=v",
            "--partition",
            "default",
        ),
    )
    assert made.out == "reduce\n"
    spec = demo.read("tasks", "reduce")["spec"]
    assert spec["payload"] == {"data": "/wA="}
    assert (spec["count"], spec["outputs"]) == (3, ["a", "b"])
    assert spec["dependsOn"] == [{"task": "parse"}, {"task": "parse", "output": "result", "index": 0}]
    assert spec["options"] == {
        "partition": "default",
        "priority": 9,
        "maxDurationSeconds": 60,
        "maxRetries": 2,
        "options": {"k": "v"},
    }
    assert demo.ok("task", "submit", "-s", "@latest", "-o", "json").json["spec"]["session"] == "demo"


def test_elements_come_from_the_lines_of_a_file(demo: Ctl, tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    lines = ['"one"', "", '{"payload": {"inline": "two"}, "options": {"priority": 3}}', '"drei"']
    file.write_text("\n".join(lines))
    demo.ok("task", "submit", "-s", "demo", "many", "--items-file", str(file))
    items = demo.read("tasks", "many")["spec"]["items"]
    assert [item["payload"]["inline"] for item in items] == ["one", "two", "drei"]
    assert items[1]["options"] == {"priority": 3}
    for wrong, said in (('"a"\n{"payload": 7}', "element 1: payload"), ("{", "element 0"), ("\n", "no line")):
        file.write_text(wrong)
        refused = demo("task", "submit", "-s", "demo", "--items-file", str(file))
        assert (refused.code, said in refused.err) == (2, True), refused


def test_a_dry_run_writes_the_manifest_and_submits_nothing(demo: Ctl) -> None:
    done = demo.ok("task", "submit", "-s", "demo", "dry", "--payload", "x", "--count", "2", "--dry-run")
    manifest = yaml.safe_load(done.out)
    assert (manifest["metadata"]["name"], manifest["spec"]["count"]) == ("dry", 2)
    assert demo("task", "get", "dry").code == 3
    applied = demo.apiserver.kubectl("apply", "-n", demo.namespace, "-f", "-", stdin=manifest)
    assert applied.returncode == 0, applied.stderr


def test_a_dry_run_names_no_object_that_is_not_there(demo: Ctl, tmp_path: Path) -> None:
    file = tmp_path / "items"
    file.write_text('"x"\n' * 1_000)
    done = demo.ok("task", "submit", "-s", "demo", "--items-file", str(file), "--dry-run")
    assert yaml.safe_load(done.out)["spec"]["items"] == [{"payload": {"inline": "x"}}] * 1_000
    file.write_text('"x"\n' * 16 + '{"options": {"partition": "p"}}\n')
    refused = demo("task", "submit", "-s", "demo", "--items-file", str(file), "--dry-run")
    assert (refused.code, "items[16].options.partition" in refused.err) == (4, True), refused


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("-s", "none"), 3, "none"),
        (("-s", "demo", "Upper"), 4, "metadata.name"),
        (("-s", "demo", "--payload", "a", "--payload-file", __file__), 2, "exclude each other"),
        (("-s", "demo", "--count", "0"), 2, "--count"),
        (("-s", "demo", "--payload-file", "/no/such"), 2, "/no/such"),
        ((), 2, "--session"),
    ],
)
def test_what_cannot_be_submitted_is_refused(
    demo: Ctl, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = demo("task", "submit", *arguments)
    assert (done.code, said in done.err) == (code, True), done


def test_tasks_are_chosen_by_session_phase_partition_and_by_what_is_the_matter(demo: Ctl) -> None:
    demo.ok("session", "create", "other", "-p", "default", "-q")
    for name, session in (("a", "demo"), ("b", "demo"), ("c", "demo"), ("d", "other")):
        demo.ok("task", "submit", "-s", session, name)
    demo.status("tasks", "a", {"phase": "Error", "partition": "gpu", "elements": counts(failed=1)})
    waits = [condition("Waiting", "True", "NoPods", "no pod")]
    demo.status("tasks", "b", {"phase": "Submitted", "partition": "default", "conditions": waits})

    def names(*arguments: str) -> list[str]:
        return demo.ok("task", "list", "-o", "name", *arguments).out.replace("task.armonik.io/", "").split()

    assert names() == ["a", "b", "c", "d"]
    assert names("-s", "demo") == ["a", "b", "c"]
    assert names("--phase", "error") == ["a"]
    assert names("--phase", "error,creating") == ["a", "c", "d"]
    assert names("--partition", "default") == ["b"]
    assert names("--waiting") == ["b"]
    assert names("--failed") == ["a"]
    wide = demo.ok("tk", "list", "-o", "wide").out
    assert "NoPods" in wide
    assert wide.splitlines()[0].split()[-1] == "FINISHED"


def test_a_task_is_shown_with_its_failures_and_conditions(demo: Ctl) -> None:
    demo.ok("task", "submit", "-s", "demo", "t", "--count", "4")
    failure = {"index": 2, "reason": "WorkerError", "message": "ValueError: empty batch", "attempt": 3}
    status = {
        "phase": "Error",
        "elements": counts(succeeded=3, failed=1),
        "failedIndexes": "2",
        "failures": [failure],
        "conditions": [finished("Failed")],
    }
    demo.status("tasks", "t", status)
    shown = demo.ok("task", "get", "t").out
    assert "element 2, execution 3: WorkerError: ValueError: empty batch" in shown
    assert "Finished=True Failed" in shown
    failures = demo.ok("task", "failures", "t")
    assert failures.rows == [["1", "WorkerError", "2", "3", "ValueError:", "empty", "batch"]]
    (line,) = demo.ok("task", "failures", "t", "-o", "jsonl").out.splitlines()
    assert json.loads(line) == {
        "apiVersion": "cli.armonik.io/v1",
        "kind": "TaskFailure",
        "task": "t",
        "index": 2,
        "reason": "WorkerError",
        "message": "ValueError: empty batch",
        "attempts": 3,
    }


def test_waiting_ends_with_the_code_of_how_tasks_ended(demo: Ctl) -> None:
    for name in ("good", "bad", "slow"):
        demo.ok("task", "submit", "-s", "demo", name, "--count", "2")

    def end(name: str, reason: str, **states: int) -> None:
        demo.status("tasks", name, {"elements": counts(**states), "conditions": [finished(reason)]})

    waits = later(lambda: end("good", "Succeeded", succeeded=2))
    done = demo.ok("task", "wait", "good", "--wait-timeout", "1m")
    waits.join()
    assert done.err == "task good: finished, 2 succeeded\n"
    end("bad", "Failed", succeeded=1, failed=1)
    failed = demo("task", "wait", "good", "bad")
    assert failed.code == 1
    assert "not all elements succeeded of: bad" in failed.err
    allowed = demo.ok("task", "wait", "good", "bad", "--allow-failed", "-o", "json")
    assert [item["metadata"]["name"] for item in allowed.json["items"]] == ["good", "bad"]
    over = demo("task", "wait", "slow", "--wait-timeout", "1s")
    assert (over.code, "1 s are over" in over.err) == (124, True)
    demo.status("tasks", "slow", {"elements": counts(failed=1, running=1)})
    early = demo("task", "wait", "slow", "--for", "succeeded", "--wait-timeout", "1m")
    assert (early.code, "not finished, 1 failed" in early.err) == (1, True)
    assert demo("task", "wait", "none").code == 3


def test_a_submitted_task_can_be_waited_for(demo: Ctl) -> None:
    def end() -> None:
        elements = counts(succeeded=1)
        demo.status("tasks", "t", {"elements": elements, "conditions": [finished("Succeeded")]})

    waits = later(end)
    done = demo("task", "submit", "-s", "demo", "t", "--wait")
    waits.join()
    assert (done.code, done.out) == (0, "t\n")


def test_what_a_submitted_task_prints_is_shown_until_its_end(
    demo: Ctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    async def lines(_: Cluster, wanted: logs.Wanted) -> None:
        shown.append(f"{wanted.task} {wanted.follow}")
        try:
            await asyncio.Event().wait()
        finally:
            shown.append("given up")

    def end() -> None:
        demo.status("tasks", "t", {"partition": "default"})
        eventually = time.monotonic() + 60
        while not shown and time.monotonic() < eventually:
            time.sleep(0.05)
        demo.status("tasks", "t", {"elements": counts(succeeded=1), "conditions": [finished("Succeeded")]})

    monkeypatch.setattr(logs, "show", lines)
    monkeypatch.setattr("armonik_sdk.cli.actions.tasks.submitting.LAST_LINES", 0.1)
    waits = later(end)
    done = demo("task", "submit", "-s", "demo", "t", "--follow")
    waits.join()
    assert (done.code, done.out, shown) == (0, "t\n", ["t True", "given up"]), done


def test_following_ends_quietly_when_nobody_reads_its_lines(
    demo: Ctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task of this test never ends."""

    async def lines(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(logs, "show", lines)
    waits = later(lambda: demo.status("tasks", "t", {"partition": "default"}))
    done = demo("task", "submit", "-s", "demo", "t", "--follow")
    waits.join()
    assert (done.code, done.out, done.err) == (0, "t\n", "")


def test_tasks_and_elements_are_cancelled(demo: Ctl) -> None:
    demo.ok("task", "submit", "-s", "demo", "t", "--count", "10")
    demo.ok("task", "cancel", "t", "--index", "3,7-9", "--yes")
    assert demo.read("tasks", "t")["spec"]["cancelledIndexes"] == ["3", "7-9"]
    beyond = demo("task", "cancel", "t", "--index", "10", "--yes")
    assert (beyond.code, "no element with such an index" in beyond.err) == (4, True)
    demo.ok("task", "cancel", "t", "-y")
    assert demo.read("tasks", "t")["spec"]["desiredState"] == "Cancelled"
    assert demo("task", "cancel", "t", "u", "--index", "1", "-y").code == 2


def test_elements_that_did_not_succeed_are_submitted_again(demo: Ctl, tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    file.write_text("\n".join(json.dumps(f"payload {index}") for index in range(6)))
    demo.ok(
        "task",
        "submit",
        "-s",
        "demo",
        "t",
        "--items-file",
        str(file),
        "--output-name",
        "o",
        "--priority",
        "5",
    )
    nothing = demo("task", "retry", "t")
    assert (nothing.code, "nothing to submit again" in nothing.err) == (3, True)
    demo.status("tasks", "t", {"failedIndexes": "1", "timedOutIndexes": "3", "cancelledIndexes": "4-5"})

    def payloads(*arguments: str) -> list[str]:
        spec = demo.read("tasks", demo.ok("task", "retry", "t", *arguments).out.strip())["spec"]
        assert (spec["outputs"], spec["options"]["priority"]) == (["o"], 5)
        return [item["payload"]["inline"].removeprefix("payload ") for item in spec["items"]]

    assert payloads() == ["1", "3"]
    assert payloads("--failed") == ["1"]
    assert payloads("--cancelled", "--name", "again") == ["4", "5"]
    assert payloads("--index", "0,2") == ["0", "2"]
    assert payloads("--index", "0-4", "--cancelled", "--failed") == ["1", "4"]
    assert demo("task", "retry", "t", "--index", "6").code == 2
    assert demo("task", "retry", "t", "--name", "again").code == 4


def test_a_tree_shows_what_workers_submitted(demo: Ctl) -> None:
    def child(name: str, parent: str) -> None:
        meta = demo.read("tasks", parent)["metadata"]
        manifest = {
            "apiVersion": "armonik.io/v1alpha1",
            "kind": "Task",
            "metadata": {
                "name": name,
                "labels": {"armonik.io/parent": meta["uid"]},
                "annotations": {"armonik.io/parent-index": "0"},
            },
            "spec": {"session": "demo"},
        }
        code, body = demo.apiserver.request("POST", demo.path("tasks"), manifest)
        assert code == 201, body

    demo.ok("task", "submit", "-s", "demo", "root")
    for name, parent in (("left", "root"), ("right", "root"), ("leaf", "left")):
        child(name, parent)
    lines = [line.rstrip("0123456789s") for line in demo.ok("task", "tree", "root").out.splitlines()]
    assert [line.split("Creating")[0] for line in lines] == [
        "root ",
        "├── left ",
        "│   └── leaf ",
        "└── right ",
    ]
    assert "(by element 0)" in demo.ok("task", "tree", "root").out
    root = demo.ok("task", "tree", "root", "-o", "json").json["root"]
    assert [one["name"] for one in root["children"]] == ["left", "right"]
    assert len(demo.ok("task", "tree", "root", "--depth", "1").out.splitlines()) == 3


def test_a_partition_is_scaled_restarted_and_its_pods_are_listed(ctl: Ctl) -> None:
    template = {"spec": {"worker": {"image": "worker:1"}}}
    manifest = {
        "apiVersion": "armonik.io/v1alpha1",
        "kind": "Partition",
        "metadata": {"name": "default"},
        "spec": {"podMax": 2, "template": template},
    }
    code, body = ctl.apiserver.request("POST", f"{GROUP}/namespaces/{ctl.namespace}/partitions", manifest)
    assert code == 201, body
    done = ctl.ok("partition", "scale", "default", "--reserved", "1", "--max", "5")
    assert done.err == "partition default: at least 1 pods, at most 5\n"
    refused = ctl("partition", "scale", "default", "--reserved", "9")
    assert (refused.code, "podReserved must not exceed podMax" in refused.err) == (4, True)
    assert ctl("partition", "scale", "default").code == 2
    ctl.ok("akp", "restart", "default")
    annotations = ctl.read("partitions", "default")["spec"]["template"]["metadata"]["annotations"]
    assert list(annotations) == ["kubectl.kubernetes.io/restartedAt"]
    ready = [condition("Ready", "False", "ImagePullFailed", "worker:1: not found")]
    ctl.status("partitions", "default", {"replicas": 1, "queued": 4, "conditions": ready})
    (row,) = ctl.ok("partition", "list").rows
    assert row[:6] == ["default", "ImagePullFailed", "0", "5", "0", "4"]
    assert "0 ready of 1, 0 compute; at least 1, at most 5" in ctl.ok("partition", "get", "default").out
    assert ctl.ok("partition", "pods", "default").err == f"No pods found in namespace {ctl.namespace}.\n"
    pod = {
        "metadata": {"name": "default-1", "labels": {"armonik.io/partition": "default"}},
        "spec": {"containers": [{"name": "agent", "image": "agent:1"}], "nodeName": "node-1"},
    }
    code, body = ctl.apiserver.request("POST", f"/api/v1/namespaces/{ctl.namespace}/pods", pod)
    assert code == 201, body
    (row,) = ctl.ok("partition", "pods", "default").rows
    assert row[:4] == ["default-1", "Pending", "0/1", "0"]
    assert ctl("partition", "pods", "none").code == 3


def test_an_object_is_explained_by_its_name_kind_or_element(demo: Ctl) -> None:
    demo.ok("task", "submit", "-s", "demo", "t", "--count", "3")
    demo.ok("session", "pause", "demo")
    waits = [condition("Waiting", "True", "Paused", "the session is paused")]
    demo.status("tasks", "t", {"phase": "Paused", "elements": counts(queued=3), "conditions": waits})
    text = demo.ok("explain", "t").out
    assert text.startswith("task t (session demo): ")
    assert "armonikctl session resume demo" in text
    assert demo.ok("explain", "@latest").out.startswith("task t ")
    assert demo.ok("explain", "session/demo").out.startswith("session demo")
    found = demo.ok("explain", "tk/t/2", "-o", "json").json
    assert (found["apiVersion"], found["kind"]) == ("cli.armonik.io/v1", "Explanation")
    assert found == yaml.safe_load(demo.ok("explain", "t/2", "-o", "yaml").out)
    assert demo("explain", "t/3").code == 3
    assert demo("explain", "none").code == 3
    assert demo("explain", "pod/t").code == 2
