import json
import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3]))

from bench.cpu import containers, tree
from bench.peers import PEERS, Peer
from bench.peers.environment import PINS
from bench.peers.remote import Remote
from bench.run import Local, Run, SystemFailed, used
from bench.systems.job import IndexedJob, manifest
from bench.systems.limits import CALL, LIMITS, Bare
from bench.workloads import FULL, LARGE, SMOKE, Batch, Work, Workload

from armonik_sdk.client import WaitTimeout


class Fake:
    """A subject that takes everything, and breaks at a given measurement."""

    def __init__(self, name: str, breaks_at: int = 0) -> None:
        self.name = name
        self.measured = 0
        self.stopped = False
        self._breaks_at = breaks_at

    def takes(self, workload: Workload) -> bool:
        return True

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        self.stopped = True

    async def warm(self, workload: Workload) -> None:
        pass

    async def measure(self, workload: Workload) -> dict[str, float]:
        self.measured += 1
        if self.measured == self._breaks_at:
            raise SystemFailed("fell over")
        return dict.fromkeys(workload.units, 1.0)

    def cpu(self) -> dict[str, float]:
        return {"one": 2.0 * self.measured, "two": 1.0 * self.measured}


@pytest.fixture(autouse=True)
def no_idling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.run.IDLE_SECONDS", 0.001)


WORKLOADS = (Batch("a", 4), Batch("b", 2))


async def test_a_system_that_breaks_is_left_out_and_named_and_the_others_go_on() -> None:
    well, broken = Fake("well"), Fake("broken", breaks_at=3)
    run = Run([broken, well], WORKLOADS, 60)
    await run.all(5)
    assert run.failed == {"broken": "fell over"}
    assert (broken.measured, well.measured) == (3, 10)
    assert (broken.stopped, well.stopped) == (True, True)


async def test_a_system_of_this_process_that_answers_too_late_is_left_out_as_well() -> None:
    class Late(IndexedJob):
        async def start(self) -> None:
            pass

        async def stop(self) -> None:
            raise AssertionError("cannot be taken down either")

        async def many(self, count: int, work: Work) -> None:
            raise WaitTimeout("not in time")

    run = Run([Local(Late(2))], [Batch("a", 4, few=4)], 60)
    await run.all(1)
    assert run.failed == {"Indexed Job": "WaitTimeout: not in time"}


async def test_systems_take_turns_within_a_repetition() -> None:
    run = Run([Fake("x"), Fake("y")], WORKLOADS, 60)
    await run.all(2)
    told = [(s.workload, s.system) for s in run.samples if s.unit == "elements/s"]
    assert told == [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")] * 2


async def test_no_repetition_begins_when_the_time_is_used_up() -> None:
    subject = Fake("x")
    await Run([subject], WORKLOADS, 0).all(5)
    assert subject.measured == 0
    assert subject.stopped


async def test_cpu_time_is_told_for_each_element_by_component() -> None:
    run = Run([Fake("x")], WORKLOADS, 60)
    await run.all(1)
    costs = {s.system: s.value for s in run.samples if s.workload == "a, CPU"}
    assert costs == {"x: one": 500.0, "x: two": 250.0, "x: everything": 750.0}


def test_a_component_that_came_or_went_is_left_out() -> None:
    assert used({"a": 1.0, "gone": 1.0}, {"a": 3.0, "new": 9.0}) == {"a": 2.0, "everything": 2.0}
    assert used({}, {"a": 1.0}) == {}


def test_containers_are_told_apart_by_their_pods_labels() -> None:
    def pod(labels: dict[str, str], *names: str) -> dict[str, object]:
        states = [{"name": name, "containerID": f"containerd://{name}-id"} for name in names]
        return {"metadata": {"labels": labels}, "status": {"containerStatuses": states}}

    pods = [
        pod({"app.kubernetes.io/name": "armonik", "app.kubernetes.io/component": "nats"}, "server"),
        pod({"armonik.io/partition": "bench"}, "agent", "worker"),
        pod({"armonik.io/partition": "other"}, "agent"),
        pod({}, "coredns"),
    ]
    expected = [("nats", "server-id"), ("agent", "agent-id"), ("worker", "worker-id")]
    assert containers(pods, "bench") == expected


def test_the_cpu_time_of_a_process_counts_and_can_be_left_out() -> None:
    while time.process_time() < 0.05:
        pass
    assert tree(os.getpid()) >= 0.05
    assert tree(os.getpid(), [os.getpid()]) == 0


def test_slow_systems_get_few_elements_or_none() -> None:
    job, bare = Local(IndexedJob(2)), Bare()
    taken = {w.name for w in FULL if job.takes(w)}
    assert "no-op, 20 elements" in taken
    assert "no-op, 10,000 elements" not in taken
    assert not any(job.takes(limit) for limit in LIMITS)
    assert not any(Remote(PEERS[0], 2).takes(limit) for limit in LIMITS)
    assert not any(bare.takes(w) for w in (*FULL, *LARGE, *SMOKE))
    assert CALL.short().name == CALL.name


def test_a_job_has_as_many_pods_at_once_as_others_have_workers() -> None:
    assert [manifest(n, 2, 0)["spec"]["parallelism"] for n in (1, 40)] == [1, 2]
    assert manifest(40, 2, 0)["spec"]["completions"] == 40


async def test_a_peer_that_cannot_be_installed_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ARMONIK_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    run = Run([Remote(Peer("Absent", "bench.peers.system_absent", ("absent",)), 2)], WORKLOADS, 60)
    await run.all(1)
    assert "uv" in run.failed["Absent"]


async def test_a_peer_whose_process_ends_is_told_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("bench.peers.remote.python", lambda: Path(sys.executable))
    monkeypatch.setattr("bench.peers.remote.install", lambda peer, interpreter: None)
    monkeypatch.setattr("bench.peers.remote.OUT", tmp_path)
    run = Run([Remote(Peer("Absent", "bench.peers.system_absent", ()), 2)], WORKLOADS, 60)
    await run.all(1)
    assert "No module named 'bench.peers.system_absent'" in run.failed["Absent"]


def test_every_peer_is_pinned_and_written() -> None:
    pinned = {line.partition("==")[0] for line in PINS.read_text().splitlines()}
    for peer in PEERS:
        assert {package.partition("[")[0] for package in peer.packages} <= pinned
        assert Path(PINS.parent, f"{peer.module.rpartition('.')[2]}.py").exists()


def test_workloads_can_be_told_apart() -> None:
    names = [w.name for w in (*FULL, *LARGE, *LIMITS)]
    assert len(names) == len(set(names))
    assert json.dumps(names)
