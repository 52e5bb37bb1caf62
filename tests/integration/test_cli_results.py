"""`armonikctl` on a whole installation of processes: results and failures of real work."""

import json
import os
import secrets
import signal
from pathlib import Path

import pytest
from ctl import Ctl
from ctl import grid_ctl as ctl
from function_grid import PARTITION, FunctionGrid, function_grid

import armonik_sdk as ak

__all__ = ["ctl", "function_grid"]
pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


def _odd(index: int) -> int:
    if index % 2:
        raise ValueError(f"odd: {index % 4}")
    return index


@pytest.fixture(scope="module")
def failed(function_grid: FunctionGrid) -> str:
    """A task of which every other element failed, in a session of the same name."""
    name = f"odd-{secrets.token_hex(3)}"
    with ak.connect(function_grid.namespace, kubeconfig=str(function_grid.kubeconfig)) as client:
        session = client.session(name, partitions=[PARTITION], on_exit="keep")
        mapped = session.map(_odd, range(8), name=name)
        mapped.wait()
    return name


def test_a_task_waits_for_what_is_uploaded_and_its_result_is_read(ctl: Ctl, tmp_path: Path) -> None:
    session = ctl.ok("session", "create", "-p", PARTITION).out.strip()
    file = tmp_path / "data.bin"
    file.write_bytes(secrets.token_bytes(9_000_000))
    put = ctl.ok("result", "put", "-s", session, str(file))
    result = put.out.strip()
    assert put.err == "data.bin: 9000000 bytes\n"
    (row,) = ctl.ok("result", "list", "-s", session).rows
    assert row[:4] == [result, "data.bin", "Completed", "9000000"]
    got = ctl.ok("result", "get", "-s", session, result, "-o", "json").json
    assert (got["name"], got["state"], got["size"]) == ("data.bin", "Completed", 9_000_000)
    ctl.ok("result", "download", "-s", session, result, str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == file.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["copy", "data.bin"]
    ctl.ok("result", "delete", "-s", session, result, "--yes")
    gone = ctl("result", "download", "-s", session, result, str(tmp_path / "none"))
    assert (gone.code, (tmp_path / "none").exists()) == (1, False)
    assert ctl.ok("result", "list", "-s", session, "--state", "completed").out == ""
    assert ctl("result", "get", "-s", session, "f" * 32).code == 3


def test_an_upload_that_is_broken_off_leaves_no_result_that_is_waited_for(
    ctl: Ctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = ctl.ok("session", "create", "-p", PARTITION).out.strip()
    file = tmp_path / "data.bin"
    file.write_bytes(bytes(9_000_000))

    def interrupted(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C does

    monkeypatch.setattr("armonik_sdk.cli.output.progress.Progress.at", interrupted)
    assert ctl("result", "put", "-s", session, str(file)).code == 130
    (row,) = ctl.ok("result", "list", "-s", session, "-o", "wide").rows
    assert row[2] == "Aborted"


def test_a_download_that_is_broken_off_leaves_no_file(
    ctl: Ctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = ctl.ok("session", "create", "-p", PARTITION).out.strip()
    file = tmp_path / "data.bin"
    file.write_bytes(bytes(9_000_000))
    result = ctl.ok("result", "put", "-s", session, str(file)).out.strip()

    def interrupted(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C does

    monkeypatch.setattr("armonik_sdk.cli.output.progress.Progress.at", interrupted)
    assert ctl("result", "download", "-s", session, result, str(tmp_path / "copy")).code == 130
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["data.bin"]


def test_results_of_a_task_are_written_and_missing_ones_are_1(ctl: Ctl, failed: str, tmp_path: Path) -> None:
    done = ctl("task", "results", failed)
    assert done.code == 1
    assert "4 elements" in done.err
    lines = done.out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["0", "2", "4", "6"]
    assert "a Python value of" in lines[0]
    ctl.ok("task", "results", failed, "--index", "2,4", "--to", str(tmp_path / "out"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["2", "4"]
    assert (tmp_path / "out" / "2").read_bytes().startswith(b"AKF1")
    one = ctl.ok("task", "results", failed, "--index", "2", "-o", "jsonl").json
    assert (one["kind"], one["index"], one["size"]) == (
        "TaskResult",
        2,
        (tmp_path / "out" / "2").stat().st_size,
    )
    assert ctl("task", "results", failed, "--index", "8").code == 2
    session = failed
    listed = ctl.ok("result", "list", "-s", session, "-o", "jsonl").out.splitlines()
    outputs = [found for found in map(json.loads, listed) if found.get("task")]
    assert [found["index"] for found in outputs] == [0, 2, 4, 6]
    result = outputs[1]["metadata"]["name"]
    assert ctl.ok("result", "get", "-s", session, result, "-o", "json").json["size"] == one["size"]
    ctl.ok("result", "download", "-s", session, result, str(tmp_path / "two"))
    assert (tmp_path / "two").read_bytes() == (tmp_path / "out" / "2").read_bytes()
    assert ctl("result", "get", "-s", session, result.replace(".2.", ".1.")).out.count("Aborted") == 1


def test_failures_are_shown_by_kind_with_their_tracebacks(ctl: Ctl, failed: str) -> None:
    done = ctl.ok("task", "failures", failed, "--traceback")
    assert [row[:3] for row in done.rows[:2]] == [["2", "WorkerError", "1,5"], ["2", "WorkerError", "3,7"]]
    assert "ValueError: odd: 1" in done.out
    assert "in _odd" in done.out
    limited = ctl.ok("task", "failures", failed, "--traceback", "--limit", "1", "-o", "json").json
    assert "Traceback" in limited["traceback"]


def test_failed_elements_are_tried_again(ctl: Ctl, failed: str) -> None:
    again = ctl.ok("task", "retry", failed).out.strip()
    done = ctl("task", "wait", again, "--wait-timeout", "3m")
    assert done.code == 1
    assert f"task {again}: finished, 4 failed" in done.err


def test_more_indexes_than_a_status_holds_are_read_from_their_object(
    ctl: Ctl, function_grid: FunctionGrid
) -> None:
    name = f"odd-{secrets.token_hex(3)}"
    with ak.connect(function_grid.namespace, kubeconfig=str(function_grid.kubeconfig)) as client:
        session = client.session(name, partitions=[PARTITION], on_exit="keep")
        session.map(_odd, range(3600), name=name).wait()
    assert ctl("task", "wait", name, "--wait-timeout", "5m").code == 1
    status = ctl.ok("task", "get", name, "-o", "json").json["status"]
    assert status["detailRef"]
    assert "failedIndexes" not in status or not status["failedIndexes"]
    done = ctl.ok("task", "retry", name, "--failed", "--index", "3590-3599")
    assert f"5 elements of task {name}: 3591,3593,3595,3597,3599" in done.err
    assert ctl.read("tasks", done.out.strip())["spec"]["session"] == name
    assert ctl.ok("task", "results", name, "--index", "3598", "-o", "jsonl").json["index"] == 3598
    assert ctl("task", "results", name, "--index", "3599").code == 1
    shown = ctl.ok("task", "failures", name, "--limit", "20", "-o", "jsonl").out.splitlines()
    assert [json.loads(line)["index"] for line in shown] == list(range(1, 41, 2))


def test_a_result_can_be_written_to_stdout(ctl: Ctl, tmp_path: Path) -> None:
    session = ctl.ok("session", "create", "-p", PARTITION).out.strip()
    file = tmp_path / "text"
    file.write_text("some text\n")
    result = ctl.ok("result", "put", "-s", session, str(file)).out.strip()
    assert ctl.ok("result", "download", "-s", session, result, "-").out == "some text\n"


def test_a_function_is_run_and_its_session_is_deleted(ctl: Ctl) -> None:
    done = ctl.ok("run", "math:sqrt", "49")
    assert json.loads(done.out) == {"index": 0, "value": 7.0}
    sessions = ctl.ok("session", "list", "-o", "json").json["items"]
    runs = [one["metadata"] for one in sessions if one["metadata"]["name"].startswith("run-")]
    assert [meta["name"] for meta in runs if "deletionTimestamp" not in meta] == []
    kept = ctl.ok("run", "math:sqrt", "4", "--keep")
    name = kept.err.split()[1]
    assert ctl.ok("task", "list", "-s", name).rows[0][1:3] == ["Completed", "1/1"]


def test_the_timeline_of_a_task_has_its_runs(ctl: Ctl, failed: str, tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    done = ctl.ok("task", "timeline", failed, "--to", str(file))
    assert done.err.endswith("runs; open it in Perfetto\n")
    trace = json.loads(file.read_text())
    assert trace["otherData"]["task"] == failed
    spans = {event["name"]: event for event in trace["traceEvents"] if event["ph"] == "X"}
    assert spans[failed]["dur"] > 0
    assert {name for name in spans if name.startswith("element ")} == {f"element {i}" for i in range(8)}
    outcomes = [spans[f"element {index}"]["args"]["outcome"] for index in range(4)]
    assert outcomes == ["succeeded", "failed", "succeeded", "failed"]
    whole = spans[failed]["dur"] + 1_000_000  # the end of a task is kept in whole seconds
    assert all(e["ts"] >= 0 and e["ts"] + e["dur"] <= whole for e in spans.values())
    assert json.loads(ctl.ok("task", "timeline", failed).out)["traceEvents"][0]["ph"] == "M"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trace.json"]
