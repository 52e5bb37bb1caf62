"""The examples of the README, typed as they are there."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
EXAMPLES = Path(__file__).parents[2] / "examples"
HELLO = EXAMPLES / "hello.yaml"


def _kubectl(*arguments: str) -> str:
    done = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _sessions_of_the_example() -> set[str]:
    """Sessions that called exactly its functions. Other tests have theirs in this namespace meanwhile."""
    each = 'jsonpath={range .items[*]}{.spec.session} {.metadata.name}{"\\n"}{end}'
    called: dict[str, set[str]] = {}
    for line in _kubectl("get", "tasks.armonik.io", "-o", each).splitlines():
        session, task = line.split()
        called.setdefault(session, set()).add(task.rpartition("-")[0])
    return {session for session, functions in called.items() if functions == {"square", "sum"}}


def test_the_example_prints_its_result() -> None:
    _kubectl("delete", "-f", str(HELLO), "--ignore-not-found", "--timeout=180s")
    _kubectl("apply", "-f", str(HELLO))
    _kubectl("wait", "--for=condition=Finished", "tk/hello", "--timeout=180s")
    assert _kubectl("get", "tk", "hello", "-o", "jsonpath={.status.results[0].inline}") == "49"


def test_the_example_in_python_prints_its_results() -> None:
    command = [sys.executable, str(EXAMPLES / "hello.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    made = _sessions_of_the_example()
    if made:
        _kubectl("delete", "sessions.armonik.io", *made, "--timeout=180s")
    assert done.returncode == 0, done.stderr
    assert made
    assert done.stdout.splitlines() == ["[0, 1, 4, 9, 16]", "30"]
