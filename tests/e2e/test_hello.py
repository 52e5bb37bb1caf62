"""The example of the README, typed as it stands there."""

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
HELLO = Path(__file__).parents[2] / "examples" / "hello.yaml"


def _kubectl(*arguments: str) -> str:
    done = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_prints_its_result() -> None:
    _kubectl("delete", "-f", str(HELLO), "--ignore-not-found", "--timeout=180s")
    _kubectl("apply", "-f", str(HELLO))
    _kubectl("wait", "--for=condition=Finished", "tk/hello", "--timeout=180s")
    assert _kubectl("get", "tk", "hello", "-o", "jsonpath={.status.results[0].inline}") == "49"
