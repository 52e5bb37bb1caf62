"""Running programs."""

import sys
from pathlib import Path

import pytest
from hack.cluster import shell
from hack.cluster.progress import Board
from hack.cluster.shell import ClusterError, run, run_logged


def test_the_folder_of_a_log_is_made(tmp_path: Path) -> None:
    """The first program that a cold cache needs is not always built by who made the folder."""
    log = tmp_path / "logs" / "program.log"
    run_logged("echo", "built", log=log)
    assert log.read_text() == "built\n"


def test_a_program_that_is_missing_is_named() -> None:
    with pytest.raises(ClusterError, match="no-such-program is not installed"):
        run("no-such-program")


def test_each_line_is_followed_and_an_older_run_is_not(tmp_path: Path) -> None:
    log, seen = tmp_path / "log", list[str]()
    log.write_text("of the run before\n")
    run_logged("printf", "one\ntwo\n", log=log, follow=seen.append)
    assert seen == ["one", "two"]
    assert log.read_text() == "of the run before\none\ntwo\n"


def test_a_failure_carries_the_end_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"failed with status 3: sh -c .*\nno room"):
        run_logged("sh", "-c", "echo no room >&2; exit 3", log=tmp_path / "log")


def test_a_program_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="gave up after 0 s: sleep 600"):
        run_logged("sleep", "600", log=tmp_path / "log", timeout=0)


def test_progress_is_shown_while_a_program_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The program ends when it was shown: nothing here waits for a time."""
    shown = tmp_path / "shown"

    class Counting(Board):
        def tick(self) -> None:
            with shown.open("a") as file:
                file.write("x")

    monkeypatch.setattr(shell, "BOARD", Counting(lambda: sys.stderr))
    script = f"until [ -s {shown} ]; do :; done"
    monkeypatch.setattr(shell, "_LOOK_SECONDS", 0.01)
    run_logged("sh", "-c", script, log=tmp_path / "log", timeout=60)
