import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

sys.path.insert(0, str(Path(__file__).parents[3]))

from bench.cpu import containers, family, tree
from bench.peers import PEERS, Peer
from bench.peers.environment import PINS
from bench.peers.remote import Remote
from bench.report import HELD
from bench.run import Local, Run, SystemFailed, used
from bench.systems.armonik import ArmoniK
from bench.systems.functions import Functions
from bench.systems.job import IndexedJob, manifest
from bench.systems.limits import CALL, LIMITS, Bare
from bench.workloads import (
    FULL,
    SMOKE,
    Batch,
    Collect,
    Graph,
    Latency,
    Loop,
    System,
    Tree,
    UnderLoad,
    Work,
    Workload,
    inputs,
    pieces,
)

from armonik_sdk.client import WaitTimeout
from armonik_sdk.testing import LocalGrid


class Fake:
    """A subject that takes everything, and breaks at a given measurement."""

    def __init__(self, name: str, breaks_at: int = 0) -> None:
        self.name = name
        self.measured = 0
        self.stopped = False
        self.awake = False
        self.others: list[Fake] = []
        self._breaks_at = breaks_at

    def takes(self, workload: Workload) -> bool:
        return True

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        self.stopped = True

    async def rest(self) -> None:
        self.awake = False

    async def wake(self) -> None:
        self.awake = True

    async def warm(self, workload: Workload) -> None:
        pass

    async def measure(self, workload: Workload) -> dict[str, float]:
        self.measured += 1
        assert self.awake
        assert not any(other.awake for other in self.others)
        if self.measured == self._breaks_at:
            raise SystemFailed("fell over")
        return dict.fromkeys(workload.units, 1.0)

    def memory(self) -> dict[str, float]:
        return {"one": 10.0 + self.measured}

    def cpu(self) -> dict[str, float]:
        return {"one": 2.0 * self.measured, "two": 1.0 * self.measured}


@pytest.fixture(autouse=True)
def no_idling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.run.IDLE_SECONDS", 0.001)


WORKLOADS = (Batch("a", 4), Batch("b", 2))


async def test_a_system_that_breaks_is_left_out_and_named_and_the_others_continue() -> None:
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


async def test_only_the_measured_system_is_awake() -> None:
    one, other = Fake("x"), Fake("y")
    one.others, other.others = [other], [one]
    await Run([one, other], WORKLOADS, 60).all(2)
    assert (one.measured, other.measured) == (4, 4)


async def test_a_long_workload_is_repeated_less_often() -> None:
    run = Run([Fake("x")], [Batch("a", 4), Batch("b", 2, most=2)], 60)
    await run.all(3)
    told = [s.workload for s in run.samples if s.unit == "elements/s"]
    assert told == ["a", "b", "a", "b", "a"]


async def test_no_repetition_begins_when_the_time_is_used_up() -> None:
    subject = Fake("x")
    await Run([subject], WORKLOADS, 0).all(5)
    assert subject.measured == 0
    assert subject.stopped


async def test_cpu_time_is_reported_for_each_element_by_component() -> None:
    run = Run([Fake("x")], WORKLOADS, 60)
    await run.all(1)
    costs = {s.system: s.value for s in run.samples if s.workload == "a, CPU"}
    assert costs == {"x: one": 500.0, "x: two": 250.0, "x: everything": 750.0}


async def test_memory_is_reported_at_its_most_where_a_workload_asks_for_it() -> None:
    run = Run([Fake("x")], [Batch("a", 4, memory=True)], 60)
    await run.all(1)
    assert [(s.workload, s.system, s.value) for s in run.samples if s.unit == HELD] == [
        ("a, memory", "x: one", 11.0)
    ]


class Instant:
    """A system whose tasks end at once, and which counts them."""

    name, workers, slow = "instant", 2, False

    def __init__(self, miscounts: int = 0) -> None:
        self.urgent_ones = 0
        self.loaded: list[int] = []
        self._miscounts = miscounts

    async def urgent(self, work: Work) -> None:
        assert self.loaded, "the load comes first"
        self.urgent_ones += 1

    async def many(self, count: int, work: Work) -> None:
        self.loaded.append(count)

    async def tree(self, levels: int, width: int) -> int:
        return levels * width + 1 - self._miscounts


async def test_single_tasks_are_timed_while_a_load_runs() -> None:
    system = Instant()
    found = await UnderLoad("u", 7, elements=50, pace=0, lead=0).measure(cast("System", system))
    assert (system.urgent_ones, system.loaded) == (7, [50])
    assert 0 < found["p50"] <= found["p99"]


async def test_a_tree_that_lacks_a_task_is_no_result() -> None:
    tree = Tree("t", 50, levels=5)
    assert (await tree.measure(cast("System", Instant())))[""] > 0
    with pytest.raises(AssertionError, match="5 levels of 10 tasks and a root counts 50"):
        await tree.measure(cast("System", Instant(miscounts=1)))


def test_inputs_differ_and_are_as_long_as_asked_for() -> None:
    for size in (1, 8, 1000, 3_000_000):
        found = list(inputs(3, size))
        assert [len(one) for one in found] == [size] * 3
        assert len(set(found)) == (3 if size >= 8 else 1)
    assert list(inputs(2, 0)) == [b"", b""]
    assert max(map(len, pieces(3_000_000, 1))) <= 2**20


def test_a_component_that_came_or_went_is_left_out() -> None:
    assert used({"a": 1.0, "gone": 1.0}, {"a": 3.0, "new": 9.0}) == {"a": 2.0, "everything": 2.0}
    assert used({}, {"a": 1.0}) == {}


def test_containers_are_distinguished_by_their_pods_labels() -> None:
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
    assert not any(bare.takes(w) for w in (*FULL, *SMOKE))
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


async def test_a_peer_whose_process_ends_is_reported_with_the_end_of_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("bench.peers.remote.python", lambda: Path(sys.executable))
    monkeypatch.setattr("bench.peers.remote.install", lambda peer, interpreter: None)
    monkeypatch.setattr("bench.peers.remote.OUT", tmp_path)
    run = Run([Remote(Peer("Absent", "bench.peers.system_absent", ()), 2)], WORKLOADS, 60)
    await run.all(1)
    assert "No module named 'bench.peers.system_absent'" in run.failed["Absent"]


async def test_a_peer_that_rests_is_stopped_with_all_below_and_ends_with_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its driver is a shell here, that answers and has a child."""
    answering = tmp_path / "driver"
    answering.write_text("#!/bin/sh\nsleep 1000 >/dev/null &\nwhile read line; do echo '{}'; done\n")
    answering.chmod(0o755)
    monkeypatch.setattr("bench.peers.remote.python", lambda: answering)
    monkeypatch.setattr("bench.peers.remote.install", lambda peer, interpreter: None)
    monkeypatch.setattr("bench.peers.remote.OUT", tmp_path)
    monkeypatch.setattr("bench.peers.remote.WAKE_SECONDS", 0.01)
    peer = Remote(Peer("Shell", "shell", ()), 2)
    await peer.start()
    driver, child = family(peer.pid)
    await peer.rest()
    _until(lambda: {_state(driver), _state(child)} == {"T"})
    await peer.wake()
    _until(lambda: "T" not in {_state(driver), _state(child)})
    await peer.rest()
    await peer.stop()
    assert peer.pid == 0
    os.kill(child, signal.SIGKILL)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_every_peer_is_pinned_and_written() -> None:
    pinned = {line.partition("==")[0] for line in PINS.read_text().splitlines()}
    for peer in PEERS:
        assert {package.partition("[")[0] for package in peer.packages} <= pinned
        assert Path(PINS.parent, f"{peer.module.rpartition('.')[2]}.py").exists()


def test_what_only_systems_of_functions_have_is_asked_of_no_other() -> None:
    special = [w for w in FULL if w.needs]
    assert {w.needs for w in special} == {"loop", "graph"}
    for workload in special:
        assert Local(Functions(2)).takes(workload)
        assert not Local(ArmoniK(2)).takes(workload)
        assert not Local(IndexedJob(2)).takes(workload)


async def test_functions_do_each_workload() -> None:
    system = Functions(2)
    with LocalGrid(workers=2) as client, client.session(on_exit="cancel") as session:
        system._client, system._session = client, session
        await Loop("loop", 20).measure(system)
        assert (await Graph("graph", 20, length=4).measure(system)).keys() == {""}
        await Tree("tree", 6, levels=2).measure(system)
        await Batch("data", 3, Work(size=200_000, payload=200_000)).measure(system)
        assert system._stored, "its session is to be deleted"
        await Latency("single", 2).measure(system)
        await system.urgent(Work())
        await Collect("collect", 5).warm(system)


async def test_a_graph_that_lacks_a_chain_is_no_result() -> None:
    class Losing(Functions):
        async def graph(self, chains: int, length: int) -> int:
            return chains - 1

    with pytest.raises(AssertionError, match="4 of 5 chains ended"):
        await Graph("graph", 20, length=4).measure(Losing(2))


def test_workloads_can_be_distinguished() -> None:
    names = [w.name for w in (*FULL, *LIMITS)]
    assert len(names) == len(set(names))
    assert json.dumps(names)
