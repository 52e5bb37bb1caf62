"""A Task applied with kubectl runs to its result: real pods, an unchanged worker, kubectl as the observer."""

import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e
HELLO = Path(__file__).parents[2] / "examples" / "hello.yaml"
WAIT = "120s"


def _kubectl(*arguments: str, stdin: str | None = None, check: bool = True) -> str:
    done = subprocess.run(
        ["kubectl", *arguments], input=stdin, capture_output=True, text=True, timeout=180, check=False
    )
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


def _manifest(name: str, session: str, **spec: Any) -> str:
    meta = {"apiVersion": "armonik.io/v1alpha1"}
    task = meta | {"kind": "Task", "metadata": {"name": name}, "spec": {"session": session, **spec}}
    owner = meta | {
        "kind": "Session",
        "metadata": {"name": session},
        "spec": {"partitions": ["default"]},
    }
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [task, owner]})


@pytest.fixture
def name() -> Iterator[str]:
    """A name for a Task and its Session, both deleted afterwards."""
    name = f"e2e-{secrets.token_hex(4)}"
    yield name
    _kubectl("delete", "tk", name, "--ignore-not-found")
    _kubectl("delete", "aks", name, "--ignore-not-found", "--timeout=60s")


def test_the_example_prints_its_result() -> None:
    _kubectl("delete", "-f", str(HELLO), "--ignore-not-found", "--timeout=60s")
    _kubectl("apply", "-f", str(HELLO))
    _kubectl("wait", "--for=condition=Finished", "tk/hello", f"--timeout={WAIT}")
    assert _kubectl("get", "tk", "hello", "-o", "jsonpath={.status.results[0].inline}") == "49"


def test_every_element_of_a_task_ends_once(name: str) -> None:
    _kubectl("apply", "-f", "-", stdin=_manifest(name, name, payload={"inline": "3"}, count=200))
    _kubectl("wait", "--for=condition=Finished", f"tk/{name}", f"--timeout={WAIT}")
    status = json.loads(_kubectl("get", "tk", name, "-o", "json"))["status"]
    assert status["progress"] == "200/200"
    assert status["succeededIndexes"] == "0-199"
    assert status["conditions"][0]["reason"] == "Succeeded"


def test_a_task_waits_for_its_session_and_says_so(name: str) -> None:
    both = json.loads(_manifest(name, name, payload={"inline": "5"}))
    task, session = both["items"]
    _kubectl("apply", "-f", "-", stdin=json.dumps(task))
    _kubectl(
        "wait", "--for=jsonpath={.status.conditions[0].reason}=SessionNotFound", f"tk/{name}", "--timeout=60s"
    )
    _kubectl("apply", "-f", "-", stdin=json.dumps(session))
    _kubectl("wait", "--for=condition=Finished", f"tk/{name}", f"--timeout={WAIT}")
    assert _kubectl("get", "tk", name, "-o", "jsonpath={.status.results[0].inline}") == "25"


def test_work_survives_the_end_of_a_worker_pod_and_of_the_operator(name: str) -> None:
    _kubectl("apply", "-f", "-", stdin=_manifest(name, name, payload={"inline": "4"}, count=400))
    _kubectl("delete", "pod", "-l", "armonik.io/partition=default", "--wait=false")
    _kubectl(
        "delete", "pod", "-A", "-l", "app.kubernetes.io/component=operator", "--grace-period=0", "--force"
    )
    _kubectl("wait", "--for=condition=Finished", f"tk/{name}", f"--timeout={WAIT}")
    status = json.loads(_kubectl("get", "tk", name, "-o", "json"))["status"]
    assert (status["progress"], status["succeededIndexes"]) == ("400/400", "0-399")
