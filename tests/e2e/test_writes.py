"""How often the apiserver is written to, by its own audit log."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from space import Space, space

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not os.environ.get("ARMONIK_AUDIT_LOG"), reason="needs the apiserver's audit log"),
]


@pytest.fixture(scope="module")
def here() -> Iterator[Space]:
    with space("writes") as made:
        yield made


def test_a_single_task_costs_its_creation_and_at_most_two_writes(here: Space) -> None:
    """Quick ones, one that runs for seconds, one that fails, one that is retried, one that waits for data."""
    quick = [f"quick-{index}" for index in range(5)]
    for name in quick:
        here.submit(name)
    here.submit("slow", "sleep", seconds=3)
    here.submit("fails", "error")
    here.submit("retried", "crash", until="/tmp/retried")
    here.submit("waits", "concat", dependsOn=[{"task": "slow"}])
    names = [*quick, "slow", "fails", "retried", "waits"]
    for name in names:
        here.end(name)
    written = _writes(here.namespace)
    assert {name: written[name] for name in names if written[name] > 3} == {}
    assert min(written[name] for name in names) >= 2


def test_a_task_of_many_elements_is_written_about_once_a_second(here: Space) -> None:
    here.submit("many", "sleep", seconds=0.02, count=300)
    task, entries = here.end("many")
    began = datetime.fromisoformat(task["metadata"]["creationTimestamp"])
    seconds = (entries[-1].time - began).total_seconds()
    written = _writes(here.namespace)["many"]
    assert written <= seconds + 3
    assert written >= min(4, seconds / 3), "its progress was hardly shown"


def _writes(namespace: str) -> Counter[str]:
    """Writes that the apiserver accepted, by name of the Task, creations included."""
    found: Counter[str] = Counter()
    with Path(os.environ["ARMONIK_AUDIT_LOG"]).open() as log:
        for line in log:
            if f'"{namespace}"' not in line:
                continue
            event = json.loads(line)
            of = event["objectRef"]
            if of["resource"] == "tasks" and of.get("namespace") == namespace:
                found[of.get("name") or ""] += event["responseStatus"]["code"] < 300
    return found
