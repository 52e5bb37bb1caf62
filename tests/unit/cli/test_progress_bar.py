"""How far something is, on a terminal: a bar that Ctrl-C takes away again, and nothing elsewhere."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from armonik_sdk.cli.frame.settings import Settings
from armonik_sdk.cli.output.progress import Progress

WAITS = """
import asyncio, sys
from armonik_sdk.cli import main as program
from armonik_sdk.cli.frame import running
from armonik_sdk.cli.frame.settings import Settings
from armonik_sdk.cli.output.progress import Progress
async def action():
    with Progress(Settings(), UNIT) as progress:
        progress.at("squares", 3, 10)
        await asyncio.Event().wait()
program._run = lambda *_: running.run(Settings(), action)
sys.exit(program.main(["x"]))
"""
HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"
"""What hides a terminal's cursor, and shows it again."""


@pytest.mark.parametrize("unit", ["elements", "bytes"])
def test_ctrl_c_leaves_the_terminal_as_it_was(unit: str) -> None:
    ours, theirs = pty.openpty()
    code = WAITS.replace("UNIT", repr(unit))
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=theirs, env=environ
    )
    os.close(theirs)
    written = b""
    try:
        while b"squares" not in written:
            written += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        while True:
            try:
                more = os.read(ours, 4096)
            except OSError:  # Linux says so when the other end was closed
                break
            if not more:
                break
            written += more
    finally:
        os.close(ours)
        process.wait(timeout=60)
    assert process.returncode == 130
    assert HIDE in written
    assert written.rindex(SHOW) > written.rindex(HIDE)
    assert written.endswith(b"Interrupted.\r\n")


def test_nothing_is_shown_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(Settings(), "bytes") as progress:
        progress.at("a file", 1, 2)
    assert capsys.readouterr() == ("", "")


def test_nothing_is_shown_to_who_wants_quiet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress(Settings(quiet=True), "bytes") as progress:
        progress.at("a file", 1, 2)
    assert capsys.readouterr() == ("", "")
