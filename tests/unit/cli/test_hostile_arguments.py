"""Arguments, streams and files that nobody should give: an error of one line, and never a trace."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from armonik_sdk.api.bounds import MAX_LINE_BYTES
from armonik_sdk.cli import main as program
from armonik_sdk.cli.actions.tasks.submitting import ItemsFile
from armonik_sdk.cli.errors import BadInput

NOWHERE = """
apiVersion: v1
kind: Config
current-context: nowhere
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
clusters: [{name: nowhere, cluster: {server: 'http://127.0.0.1:9'}}]
users: [{name: nobody, user: {token: t}}]
"""
MANY = "9" * 5_000
NO_TEXT = os.fsdecode(b"\xff")
"""An argument that is no text of UTF-8, as Python gives it to a program."""


@pytest.fixture
def nowhere(tmp_path: Path) -> str:
    """A kubeconfig of a cluster that does not answer."""
    path = tmp_path / "kubeconfig"
    path.write_text(NOWHERE)
    return str(path)


@pytest.mark.parametrize(
    "arguments",
    [
        ("task", "get", ""),
        ("task", "get", "."),
        ("session", "get", ".."),
        ("task", "get", NO_TEXT),
        ("explain", "session/.."),
        ("explain", "task/x/²"),
        ("explain", f"task/x/{MANY}"),
        ("logs", "x/²"),
        ("logs", f"x/{MANY}"),
        ("logs", "x/-1"),
        ("task", "results", "x", "--index", MANY),
        ("task", "submit", "-s", "x", "--depends-on", f"x:{MANY}"),
        ("task", "submit", "-s", "x", "--depends-on", "a b"),
    ],
    ids=lambda arguments: " ".join(arguments)[:40].encode("ascii", "backslashreplace").decode(),
)
def test_it_is_wrong_usage(
    arguments: tuple[str, ...], nowhere: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["--kubeconfig", nowhere, *arguments]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("Error: ")
    assert not said.out


PROGRAM = [sys.executable, "-c", "from armonik_sdk.cli.main import main; raise SystemExit(main())"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_may_be_closed(closed: str) -> None:
    run = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", *PROGRAM, "--help"],
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0
    assert b"Traceback" not in run.stderr


def test_nobody_is_asked_where_stdin_is_closed(nowhere: str) -> None:
    command = ["sh", "-c", '"$@" <&-', "sh", *PROGRAM, "--kubeconfig", nowhere, "session", "delete", "x"]
    run = subprocess.run(command, capture_output=True, check=False, timeout=120)
    assert run.returncode == 2
    assert b"--yes" in run.stderr
    assert b"Traceback" not in run.stderr


def test_letters_that_a_stream_does_not_have_are_written_out() -> None:
    code = "from armonik_sdk.cli.main import _open_streams; _open_streams(); print('a\u2026b')"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert run.stdout.split() == [b"a\\u2026b"]


def test_of_a_line_that_is_too_long_little_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "items"
    with path.open("wb") as file:
        file.truncate(MAX_LINE_BYTES * 64)  # one line without an end, and no block on the disk
    read = 0
    real = Path.open

    def counted(self: Path, *arguments: str) -> object:
        nonlocal read
        file = real(self, *arguments)

        class Counted:
            def __enter__(self) -> "Counted":
                return self

            def __exit__(self, *_: object) -> None:
                file.close()

            def __iter__(self) -> object:
                raise AssertionError("a line is read whole, however long it is")

            def readline(self, most: int) -> bytes:
                nonlocal read
                line = bytes(file.readline(most))
                read += len(line)
                return line

        return Counted()

    monkeypatch.setattr(Path, "open", counted)
    with pytest.raises(BadInput, match="at most"):
        ItemsFile(str(path))
    assert read <= MAX_LINE_BYTES + 1
