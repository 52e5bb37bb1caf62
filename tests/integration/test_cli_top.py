"""`armonikctl top`: once in each form, and on a terminal of 80 columns and 24 lines."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ctl import GROUP, Ctl, condition, ctl

__all__ = ["ctl"]
pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]
LEFT_SCREEN = b"\x1b[?1049l"
"""By which a program gives the terminal's normal screen back."""
CURSOR_SHOWN = b"\x1b[?25h"


@pytest.fixture
def work(ctl: Ctl) -> Ctl:
    """A partition, three sessions and a pod, with statuses."""
    spec = {"podMax": 4, "template": {"spec": {"worker": {"image": "hello:1"}}}}
    _create(ctl, f"{GROUP}/namespaces/{ctl.namespace}/partitions", "Partition", "default", spec)
    status = {"readyReplicas": 2, "busyReplicas": 1, "queued": 600, "elementsPerMinute": 120}
    ctl.status("partitions", "default", {**status, "conditions": [condition("Ready", "True", "Serving")]})
    for name in ("done", "demo", "idle"):
        ctl.ok("session", "create", name, "-p", "default")
    _counts(ctl, "done", "Completed", succeeded=10)
    _counts(ctl, "demo", "Running", succeeded=40, failed=2, running=3, queued=55)
    labels = {"armonik.io/partition": "default"}
    container = {"name": "worker", "image": "hello:1"}
    pod = {"containers": [container], "automountServiceAccountToken": False}
    _create(ctl, f"/api/v1/namespaces/{ctl.namespace}/pods", "Pod", "default-1", pod, labels=labels)
    return ctl


def _create(ctl: Ctl, path: str, kind: str, name: str, spec: Any, **metadata: Any) -> None:
    version = "v1" if kind == "Pod" else "armonik.io/v1alpha1"
    body = {"apiVersion": version, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}
    code, answer = ctl.apiserver.request("POST", path, body)
    assert code == 201, answer


def _counts(ctl: Ctl, session: str, phase: str, **counts: int) -> None:
    total = sum(counts.values())
    ctl.status("sessions", session, {"phase": phase, "elements": {"total": total, **counts}})


def test_it_is_written_once_as_tables(work: Ctl) -> None:
    partitions, sessions, pods = work.ok("top", "--once").out.split("\n\n")
    assert partitions.splitlines()[0].split("   ")[0] == "PARTITION"
    assert partitions.splitlines()[1].split() == ["default", "Serving", "2", "4", "1", "600", "120", "5m"]
    rows = [line.split() for line in sessions.splitlines()[1:]]
    assert rows[0][:5] == ["demo", "Running", "40/100", "2", "3"]
    assert {row[0] for row in rows[1:]} == {"done", "idle"}
    assert pods.splitlines()[1].split()[:5] == ["default-1", "default", "Pending", "0/1", "0"]
    assert work.ok("top", "pods", "--once").out.startswith("POD ")
    assert max(len(line) for line in f"{partitions}\n{sessions}\n{pods}".splitlines()) <= 80


def test_it_is_written_once_for_programs(work: Ctl) -> None:
    found = work.ok("top", "--once", "-o", "json").json
    assert (found["apiVersion"], found["kind"], found["namespace"]) == (
        "cli.armonik.io/v1",
        "Top",
        work.namespace,
    )
    assert found["partitions"] == [
        {
            "name": "default",
            "status": "Serving",
            "ready": 2,
            "max": 4,
            "busy": 1,
            "queued": 600,
            "elementsPerMinute": 120,
        }
    ]
    demo = found["sessions"][0]
    assert (demo["name"], demo["total"], demo["waiting"], demo["failed"]) == ("demo", 100, 55, 2)
    assert found["pods"][0]["partition"] == "default"
    only = json.loads(work.ok("top", "sessions", "--once", "-o", "jsonl").out)
    assert "partitions" not in only


def test_without_a_terminal_once_is_asked_for(ctl: Ctl) -> None:
    done = ctl("top")
    assert done.code == 2
    assert "--once" in done.err


def test_a_silent_server_is_an_error_before_the_screen(ctl: Ctl, closed_kubeconfig: str) -> None:
    with Terminal("top", "--kubeconfig", closed_kubeconfig, "--request-timeout", "1s") as terminal:
        assert terminal.end() == 5
    assert b"Error: " in terminal.written
    assert b"\x1b[?1049h" not in terminal.written


@pytest.fixture
def closed_kubeconfig(ctl: Ctl, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("closed") / "kubeconfig"
    text = ctl.apiserver.kubeconfig.read_text()
    path.write_text(re.sub(r"https://127\.0\.0\.1:\d+", "https://127.0.0.1:9", text))
    return str(path)


def test_it_fills_a_small_terminal_is_refreshed_and_ends_with_q(work: Ctl) -> None:
    with Terminal(*_given(work), "--interval", "1s") as terminal:
        terminal.until(lambda shown: b"demo" in shown and b"default-1" in shown)
        assert b"40/100" in terminal.written
        _counts(work, "demo", "Running", succeeded=90, failed=2, running=3, queued=5)
        terminal.until(lambda shown: b"90/100" in shown)
        terminal.type(b"\t")
        terminal.type(b"q")
        assert terminal.end() == 0
    terminal.assert_sane()


@pytest.mark.parametrize("how", ["ctrl-c", "SIGTERM", "SIGINT"])
def test_an_interruption_leaves_the_terminal_as_it_was(work: Ctl, how: str) -> None:
    with Terminal(*_given(work)) as terminal:
        terminal.until(lambda shown: b"demo" in shown)
        if how == "ctrl-c":
            terminal.type(b"\x03")
        else:
            os.kill(terminal.process.pid, getattr(signal, how))
        assert terminal.end() == 130
    terminal.assert_sane()


def _given(ctl: Ctl) -> list[str]:
    return ["top", "--kubeconfig", str(ctl.apiserver.kubeconfig), "-n", ctl.namespace]


class Terminal:
    """The program in a pseudo-terminal of 80 columns and 24 lines."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self.written = b""

    def __enter__(self) -> "Terminal":
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._before = termios.tcgetattr(theirs)
        self._theirs = theirs
        command = [sys.executable, "-m", "armonik_sdk.cli", *self._arguments]
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.after = termios.tcgetattr(self._theirs)
        os.close(self._theirs)
        os.close(self._ours)

    def type(self, keys: bytes) -> None:
        """Press these keys."""
        os.write(self._ours, keys)

    def until(self, done: Callable[[bytes], bool]) -> None:
        """Read until what was written since the call suffices."""
        begin, deadline = len(self.written), time.monotonic() + 120
        while not done(self.written[begin:]):
            assert time.monotonic() < deadline, self.written[begin:]
            for _ in self._read(0.5):
                pass
            assert self.process.poll() is None, self.written

    def end(self) -> int:
        """Wait for its end; the exit code."""
        deadline = time.monotonic() + 120
        while self.process.poll() is None and time.monotonic() < deadline:
            for _ in self._read(0.2):
                pass
        for _ in self._read(0.2):
            pass
        return self.process.wait(timeout=1)

    def _read(self, seconds: float) -> Iterator[bytes]:
        while select.select([self._ours], [], [], seconds)[0]:
            try:
                part = os.read(self._ours, 65536)
            except OSError:  # the other side is closed
                return
            self.written += part
            yield part
            seconds = 0

    def assert_sane(self) -> None:
        """The terminal is as before: its normal screen, its cursor, its echo and lines."""
        assert self.after == self._before
        assert self.written.rindex(LEFT_SCREEN) > self.written.rindex(b"\x1b[?1049h")
        assert self.written.rindex(CURSOR_SHOWN) > self.written.rindex(b"\x1b[?25l")
