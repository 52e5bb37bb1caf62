"""What elements print is kept with their outcomes, and is read when the pods that executed them are gone."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from release import apply, fresh_namespace, kubectl, lab_partition, objects, until
from test_cli import Ctl

from armonik_sdk.client import Client

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

DIES = "import os; print('last words', flush=True); os._exit(3)"


@pytest.fixture(scope="module")
def installed() -> Iterator[Ctl]:
    with fresh_namespace("kept-logs", wait=False) as name:
        functions = lab_partition(name, "python")
        worker = functions["spec"]["template"]["spec"]["worker"]
        worker["image"] = worker["image"].replace("worker-lab", "worker-python")
        apply(functions)
        yield Ctl(name)


def ran(ctl: Ctl, *words: str, code: int = 0) -> str:
    """Name of the Task of a call that `armonikctl run` has sent, and kept."""
    done = ctl("run", *words, "--keep")
    assert done.returncode == code, f"{done.stdout}{done.stderr}"
    session = done.stderr.split()[1]
    (named,) = ctl.ok("task", "list", "-s", session, "-o", "name").split()
    return named.partition("/")[2]


async def test_lines_outlive_the_pods_that_printed_them(installed: Ctl) -> None:
    ctl = installed
    said, quiet = ran(ctl, "builtins:print", "it is kept"), ran(ctl, "builtins:abs", "3")
    died = ran(ctl, "builtins:exec", json.dumps(DIES), code=1)
    kubectl("delete", "partition", "python", "-n", ctl.namespace)
    labels = ("--selector", "armonik.io/partition=python")
    until("no pod is left", lambda: not objects("pods", "--namespace", ctl.namespace, *labels))

    assert ctl.ok("logs", f"{said}/0") == f"[{said}/0] it is kept\n"
    assert ctl.ok("logs", said) == f"[{said}/0] it is kept\n"
    line = json.loads(ctl.ok("logs", f"{said}/0", "-o", "jsonl"))
    assert (line["task"], line["index"], line["text"]) == (said, 0, "it is kept")
    assert ctl.ok("logs", f"{quiet}/0") == ""
    assert ctl.ok("logs", f"{died}/0") == f"[{died}/0] last words\n"
    assert "It printed last:\nlast words\n" in ctl.ok("task", "failures", died, "--traceback")

    async with await Client.connect(ctl.namespace) as client:
        texts = {name: await (await client.task(name)).printed() for name in (said, quiet, died)}
        assert texts == {said: "it is kept\n", quiet: "", died: "last words\n"}
        every = [one async for one in (await client.task(said)).printed_by_all()]
        assert every == [(0, "it is kept\n")]
