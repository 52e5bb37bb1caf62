"""`armonikctl` and `kubectl armonik` on the real cluster, as a person at a terminal calls them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from release import PATIENCE, Object, apply, fresh_namespace, kubectl, lab_partition, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PROGRAM = str(Path(sys.executable).parent / "armonikctl")


class Ctl:
    """Calls the program in a namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def __call__(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [PROGRAM, *words, "--namespace", self.namespace]
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def ok(self, *words: str) -> str:
        """Standard output of a command that succeeds."""
        done = self(*words)
        assert done.returncode == 0, f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def json(self, *words: str) -> Object:
        found: Object = json.loads(self.ok(*words, "--output", "json"))
        return found


@pytest.fixture(scope="module")
def ctl() -> Iterator[Ctl]:
    with fresh_namespace("cli", wait=False) as name:
        functions = lab_partition(name, "python")
        worker = functions["spec"]["template"]["spec"]["worker"]
        worker["image"] = worker["image"].replace("worker-lab", "worker-python")
        apply(lab_partition(name, "lab", memory="256Mi"), functions)
        made = Ctl(name)
        made.ok("session", "create", "work", "--partition", "lab")
        yield made


def masked(text: str) -> list[list[str]]:
    """Words of each line, with ages and what is random as letters."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "UID", text)
    text = re.sub(r"\b(?:lab|python)-[a-z0-9]{4,10}\b", "POD", text)
    text = re.sub(r"(?<= )(?:\d+[smhd])+\b", "AGE", text)
    return [line.split() for line in text.splitlines() if line.strip()]


def test_work_is_submitted_waited_for_and_read(ctl: Ctl) -> None:
    assert ctl.ok("task", "submit", "-s", "work", "echo", "--payload", "hello", "--wait") == "echo\n"
    assert ctl.ok("task", "results", "echo") == "hello\n"
    assert masked(ctl.ok("task", "list", "-s", "work"))[:2] == [
        ["NAME", "STATUS", "PROGRESS", "FAILED", "PARTITION", "AGE"],
        ["echo", "Completed", "1/1", "0", "lab", "AGE"],
    ]
    theirs = json.loads(kubectl("get", "tk", "echo", "-n", ctl.namespace, "-o", "json"))
    assert ctl.json("task", "get", "echo") == theirs
    assert masked(ctl.ok("session", "list"))[1][:3] == ["work", "Running", "1/1"]


def test_a_submitted_task_is_followed_to_its_end(ctl: Ctl) -> None:
    words = ("--option", "mode=sleep", "--option", "seconds=3", "--payload", "x")
    done = ctl("task", "submit", "-s", "work", "followed", *words, "--follow")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("followed\n")
    assert "lines of partition lab are not marked" in done.stderr


def test_what_failed_is_shown_explained_and_tried_again(ctl: Ctl) -> None:
    words = ("--option", "mode=error", "--option", "message=no luck", "--count", "3")
    done = ctl("task", "submit", "-s", "work", "bad", *words, "--wait")
    assert (done.returncode, done.stdout) == (1, "bad\n")
    assert "finished, 3 failed" in done.stderr
    assert masked(ctl.ok("task", "failures", "bad")) == [
        ["COUNT", "REASON", "ELEMENTS", "EXECUTIONS", "MESSAGE"],
        ["3", "WorkerError", "0-2", "1", "no", "luck"],
    ]
    explained = ctl.ok("explain", "bad")
    assert explained.startswith("task bad (session work): finished, 3 failed")
    assert "armonikctl task retry bad" in explained
    again = ctl.ok("task", "retry", "bad", "--index", "1").strip()
    assert ctl("task", "wait", again, "--wait-timeout", "3m").returncode == 1
    assert ctl("task", "results", "bad").returncode == 1


def test_work_waits_runs_is_paused_and_cancelled(ctl: Ctl) -> None:
    ctl.ok("session", "create", "slow", "-p", "lab")
    words = ("--option", "mode=sleep", "--option", "seconds=300", "--count", "4")
    ctl.ok("task", "submit", "-s", "slow", "long", *words)
    until("it runs", lambda: "Processing" in ctl.ok("task", "list", "-s", "slow"))
    ctl.ok("session", "pause", "slow", "--wait", "--wait-timeout", "3m")
    assert "armonikctl session resume slow" in ctl.ok("explain", "long")
    ctl.ok("session", "resume", "slow", "--wait", "--wait-timeout", "3m")
    over = ctl("task", "wait", "long", "--wait-timeout", "2s")
    assert over.returncode == 124
    refused = ctl("session", "cancel", "slow")
    assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
    ctl.ok("task", "cancel", "long", "--index", "2-3", "--yes")
    ctl.ok("session", "cancel", "slow", "--yes", "--wait-timeout", "3m")
    assert ctl.json("task", "get", "long")["status"]["phase"] == "Cancelled"
    ctl.ok("session", "purge", "slow", "--yes", "--wait-timeout", "3m")
    ctl.ok("session", "delete", "slow", "--yes", "--wait-timeout", "3m")
    assert ctl("session", "get", "slow").returncode == 3


def test_sub_tasks_are_a_tree(ctl: Ctl) -> None:
    ctl.ok(
        "task", "submit", "-s", "work", "family", "--payload", "1 2 3", "--option", "mode=subtasks", "--wait"
    )
    lines = ctl.ok("task", "tree", "family").splitlines()
    assert len(lines) == 2, "the sub-tasks of one element are the elements of one Task"
    assert lines[0].startswith("family Completed 1/1")
    assert lines[1].startswith("└── family-")
    assert "Completed 4/4" in lines[1]


def test_files_go_up_and_come_back(ctl: Ctl, tmp_path: Path) -> None:
    file = tmp_path / "data.bin"
    file.write_bytes(os.urandom(20_000_000))
    result = ctl.ok("result", "put", "-s", "work", str(file)).strip()
    ctl.ok("result", "download", "-s", "work", result, str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == file.read_bytes()
    assert ctl.json("result", "get", "-s", "work", result)["size"] == 20_000_000
    assert result in ctl.ok("result", "list", "-s", "work", "--named")
    ctl.ok("result", "delete", "-s", "work", result, "--yes")
    assert ctl("result", "download", "-s", "work", result, str(tmp_path / "none")).returncode == 1


def test_a_function_is_run_and_what_it_prints_is_shown(ctl: Ctl, tmp_path: Path) -> None:
    """The line is of the pod that ran it, which lives on."""
    done = ctl("run", "builtins:print", "seen in the log", "--keep")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"index": 0, "value": None}), done.stderr
    session = done.stderr.split()[1]
    until("the line is there", lambda: "seen in the log" in ctl.ok("logs", "-s", session))
    line = json.loads(ctl.ok("logs", "-s", session, "--grep", "seen", "-o", "jsonl"))
    assert (line["kind"], line["index"], line["text"]) == ("LogLine", 0, "seen in the log")
    assert "seen in the log" in ctl.ok("logs", "--partition", "python", "--tail", "5", "--timestamps")


def test_an_environment_is_kept_for_all_sessions_until_it_is_pruned(ctl: Ctl, tmp_path: Path) -> None:
    module = tmp_path / "of_this_test.py"
    module.write_text("def double(x):\n    return 2 * x\n")
    made = ctl.json("env", "build", "--code", str(module), "--push")
    name = made["metadata"]["name"]
    assert made["object"] == f"{ctl.namespace}/env/{name}"
    assert masked(ctl.ok("env", "list")) == [["NAME", "SIZE", "AGE"], [name, str(made["size"]), "AGE"]]
    environment = {"object": made["object"], "sha256": name}
    session = {
        "apiVersion": "armonik.io/v1alpha1",
        "kind": "Session",
        "metadata": {"name": "named", "namespace": ctl.namespace},
        "spec": {"partitions": ["python"], "taskDefaults": {"environment": environment}},
    }
    apply(session)
    program = tmp_path / "program.py"
    program.write_text(
        "import importlib, armonik_sdk as ak\n"
        f"session = ak.connect({ctl.namespace!r}).session('named', on_exit='keep')\n"
        "print(session.submit(lambda: importlib.import_module('of_this_test').double(21)).result(300))\n"
    )
    assert subprocess.run([sys.executable, program], capture_output=True, text=True).stdout == "42\n"
    assert name not in ctl("env", "prune", "--yes").stderr, "a session names it"
    ctl.ok("session", "cancel", "named", "--wait", "--yes")
    assert ctl("env", "prune").returncode == 2, "nobody can be asked"
    assert f"environment {name} was deleted" in ctl("env", "prune", "--yes").stderr
    assert ctl.ok("env", "list", "-o", "name") == ""


def test_a_log_is_followed_until_ctrl_c(ctl: Ctl) -> None:
    words = [PROGRAM, "logs", "-p", "python", "-f", "-n", ctl.namespace]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    ctl.ok("run", "builtins:print", "while it is followed")
    for line in process.stdout:
        if "while it is followed" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.endswith("Interrupted.\n")) == (130, True), err


def test_a_partition_is_scaled_and_restarted(ctl: Ctl) -> None:
    (before,) = masked(ctl.ok("partition", "pods", "lab"))[1:]
    assert before[:3] == ["POD", "Running", "2/2"]
    name = ctl.ok("partition", "pods", "lab", "-o", "name").strip()
    ctl.ok("partition", "restart", "lab")
    until("another pod has its place", lambda: name not in ctl.ok("partition", "pods", "lab", "-o", "name"))
    ctl.ok("partition", "scale", "lab", "--max", "2")
    assert ctl.json("partition", "get", "lab")["spec"]["podMax"] == 2


def test_a_sound_installation_has_no_problems(ctl: Ctl) -> None:
    done = ctl("doctor", "--run")
    assert done.returncode == 0, done.stdout + done.stderr
    levels = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines() if line[0] != " "}
    for check in ("apiserver", "kinds", "rights", "operator", "nats", "store", "partitions", "run"):
        assert levels[check] == "ok", done.stdout
    assert levels["space"] in ("ok", "warn"), done.stdout  # other tests may have filled the journal
    assert re.search(r"^ok +operator .*, [\d,]+ records behind the journal$", done.stdout, re.MULTILINE)


def test_the_namespace_is_shown_with_its_rates(ctl: Ctl) -> None:
    found = ctl.json("top", "--once")
    assert {one["name"] for one in found["partitions"]} >= {"lab", "python"}
    assert "work" in {one["name"] for one in found["sessions"]}
    assert {one["partition"] for one in found["pods"]} <= {"lab", "python", "broken"}
    assert ctl.ok("top", "partitions", "--once").startswith("PARTITION ")


def test_when_a_task_was_computed_is_a_file_for_perfetto(ctl: Ctl, tmp_path: Path) -> None:
    ctl.ok("task", "submit", "-s", "work", "timed", "--count", "20", "--payload", "{}", "--wait")
    ctl.ok("task", "timeline", "timed", "--to", str(tmp_path / "trace.json"))
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    spans = {event["name"] for event in events if event["ph"] == "X"}
    assert {"timed", "run 0", "element 0", "element 19"} <= spans


def test_an_image_that_cannot_be_pulled_is_a_problem(ctl: Ctl) -> None:
    broken = lab_partition(ctl.namespace, "broken")
    broken["spec"]["template"]["spec"]["worker"]["image"] = "localhost/no-such-worker:1"
    apply(broken)
    try:
        until("it is reported", lambda: "Image" in ctl("doctor", "--only", "partitions").stdout)
        done = ctl("doctor", "--only", "partitions")
        assert (done.returncode, "FAIL  partitions  broken: no ready pod" in done.stdout) == (1, True)
    finally:
        kubectl("delete", "akp", "broken", "-n", ctl.namespace)


def test_it_is_a_plugin_of_kubectl(ctl: Ctl) -> None:
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def plugin(*words: str) -> str:
        done = subprocess.run(
            words, env=environ, capture_output=True, text=True, check=True, timeout=PATIENCE
        )
        return done.stdout

    assert "Usage: kubectl armonik session list" in plugin("kubectl", "armonik", "session", "list", "--help")
    names = plugin("kubectl", "armonik", "session", "list", "-n", ctl.namespace, "-o", "name")
    assert "session.armonik.io/work\n" in names
    offered = plugin("kubectl_complete-armonik", "session", "get", "-n", ctl.namespace, "wo")
    assert offered == "work\n:4\n"
    assert json.loads(plugin("kubectl", "armonik", "version", "-o", "json"))["kind"] == "Version"
