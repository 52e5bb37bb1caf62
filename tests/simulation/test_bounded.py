"""Executions are bounded whatever fails, nobody else's elements pay for it, and the user gets the reason."""

import errno
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from armonik_agent.data.shared_folder import Folder
from armonik_agent.execution.settlement import Settlement
from armonik_agent.journal.transitions import MAX_BROKEN_OFF, MAX_TAKEOVERS
from armonik_agent.settings import Settings
from armonik_sdk.dataplane.errors import StoreUnavailable
from simulation.invariants import Watcher, check_quiet
from simulation.process import Process
from simulation.runworker import SimulatedChannel
from simulation.worker import SimulatedWorker
from simulation.world import Pod, World

COUNT = 5
POISON = 2
RETRIES = 1
WORDS = "Pod ephemeral local storage usage exceeds the total limit of containers 40Mi."


class Executions:
    """Counts the executions of each element, and does something as the poisoned one begins."""

    def __init__(self, world: World, strike: Callable[[Pod], None]) -> None:
        self.of: Counter[str] = Counter()
        self._world, self._strike = world, strike

    def begun(self, process: Process, mode: str, task: str) -> None:
        self.of[task.rpartition(".")[2]] += 1
        if mode == "poison":
            pod = next(pod for pod in self._world.pods.values() if pod.process is process)
            self._world.loop.call_soon(self._strike, pod)


@pytest.fixture(params=[False, True], ids=["element by element", "whole runs"])
def takes_runs(request: pytest.FixtureRequest) -> Iterator[bool]:
    with patch.object(SimulatedChannel, "takes_runs", request.param):
        yield request.param


def submit(world: World, poison: dict[str, Any], **common: Any) -> None:
    """A Task of which one element is poisoned; no run is cut off before it."""
    world.create_session("session")
    world.passes(8.0)
    items: list[dict[str, Any]] = [{} for _ in range(COUNT)]
    items[POISON] = poison
    options = {"maxRetries": RETRIES} | common
    world.create_task("task", "session", items=items, options=options)


def poisoned(**options: str) -> dict[str, Any]:
    return {"options": {"options": {"mode": "poison", "seconds": "30"} | options}}


def ended(world: World) -> dict[str, Any]:
    """Wait for the end; the status."""
    world.until("the task has ended", lambda: _finished(world), patience=3_600)
    world.passes(30.0)
    check_quiet(world, set())
    status: dict[str, Any] = world.tasks()["task"]["status"]
    assert status["failedIndexes"] == str(POISON), status
    assert status["succeededIndexes"] == "0-1,3-4"
    return status


def _finished(world: World) -> bool:
    conditions = world.tasks()["task"].get("status", {}).get("conditions", [])
    return any(one["type"] == "Finished" and one["status"] == "True" for one in conditions)


def counting(world: World, strike: Callable[[Pod], None]) -> Executions:
    executions = Executions(world, strike)
    SimulatedWorker.begun = SimulatedChannel.begun = executions.begun
    return executions


@pytest.fixture(autouse=True)
def nobody_counts() -> Iterator[None]:
    yield
    SimulatedWorker.begun = SimulatedChannel.begun = None


@pytest.mark.parametrize("seed", range(2))
def test_an_element_that_evicts_its_pod_is_charged_in_the_kubelets_words(seed: int, takes_runs: bool) -> None:
    with World(seed, 2, whole=True) as world:
        Watcher(world)
        evictions: list[str] = []

        def strike(pod: Pod) -> None:
            evictions.append(pod.name)
            world.background(world.evict_pod(pod, WORDS))

        executions = counting(world, strike)
        submit(world, poisoned())
        status = ended(world)
        (failure,) = status["failures"]
        assert failure["reason"] == "AttemptsExhausted"
        assert WORDS in failure["message"]
        assert executions.of[str(POISON)] <= 1 + RETRIES + 1  # the first one may not have been named
        assert all(name not in world.pods for name in evictions)


@pytest.mark.parametrize("seed", range(2))
def test_executions_that_are_broken_off_with_their_pod_are_bounded(seed: int, takes_runs: bool) -> None:
    """Somebody deletes each pod while it works: no failure, but no endless repetition either."""
    with World(seed, 2, whole=True) as world:
        Watcher(world)

        def strike(pod: Pod) -> None:
            async def delete() -> None:
                pod.leaving = True
                pod.drain.end(0.0)
                await world._stop_pod(pod)

            world.background(delete())

        executions = counting(world, strike)
        submit(world, poisoned())
        (failure,) = ended(world)["failures"]
        assert failure["reason"] == "AttemptsExhausted"
        assert "broken off" in failure["message"]
        assert MAX_BROKEN_OFF < executions.of[str(POISON)] <= MAX_BROKEN_OFF + 2


@pytest.mark.parametrize("seed", range(2))
def test_an_element_that_kills_its_agent_is_charged(seed: int, takes_runs: bool) -> None:
    with World(seed, 2, whole=True) as world:
        Watcher(world)
        executions = counting(world, lambda pod: world.background(world.kill_agent(pod)))
        submit(world, poisoned())
        (failure,) = ended(world)["failures"]
        assert failure["reason"] == "AttemptsExhausted"
        assert executions.of[str(POISON)] <= 1 + RETRIES + 1


ERRORS = (
    OSError(errno.ENOSPC, "No space left on device"),
    PermissionError(errno.EACCES, "Permission denied"),
    KeyError("nobody has thought of it"),
    ValueError("nor of that"),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_of_the_agents_own_is_charged_to_the_element_it_came_with(
    error: Exception, takes_runs: bool
) -> None:
    succeed = Settlement.succeed

    async def fails(self: Settlement, element: Any, *args: Any) -> Any:
        if element.index == POISON:
            raise error
        return await succeed(self, element, *args)

    with patch.object(Settlement, "succeed", fails), World(0, 2, whole=True) as world:
        Watcher(world)
        executions = counting(world, lambda pod: None)
        submit(world, {}, options={"seconds": "0.01"})
        (failure,) = ended(world)["failures"]
        assert failure["reason"] == "AttemptsExhausted"
        assert str(error.args[-1]) in failure["message"]
        assert executions.of[str(POISON)] <= 1 + RETRIES + 1
        assert max(executions.of.values()) <= 1 + RETRIES + 1


@pytest.mark.parametrize("takes_runs", [False], indirect=True)  # a worker of runs is sent it in a message
def test_a_disk_that_does_not_take_the_inputs_of_an_element_is_charged_to_it(takes_runs: bool) -> None:
    """They are fetched before `Dispatched`."""
    write = Folder.write

    def full(self: Folder, name: str, data: bytes) -> None:
        if bytes(data).startswith(b"poison"):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, name, data)

    with patch.object(Folder, "write", full), World(0, 2, whole=True) as world:
        Watcher(world)
        executions = counting(world, lambda pod: None)
        payload = "poison" * 2_000  # more than is held in memory
        submit(world, {"payload": {"inline": payload}}, options={"seconds": "0.01"})
        (failure,) = ended(world)["failures"]
        assert failure["reason"] == "AttemptsExhausted"
        assert "No space left on device" in failure["message"]
        assert executions.of[str(POISON)] == 0


def test_inputs_beyond_the_room_end_their_element_alone(takes_runs: bool) -> None:
    with patch.object(Settings, "room", 10_000), World(0, 2, whole=True) as world:
        Watcher(world)
        executions = counting(world, lambda pod: None)
        submit(world, {"payload": {"inline": "x" * 12_000}})
        (failure,) = ended(world)["failures"]
        assert failure["reason"] == "InputTooLarge"
        assert "12000 bytes" in failure["message"]
        assert "at most 10000" in failure["message"]
        assert executions.of[str(POISON)] == 0


def test_a_run_that_its_own_process_gives_up_again_and_again_ends(takes_runs: bool) -> None:
    """Whatever `finish` meets: what had ended is lost with it, and executed again."""

    async def fails(self: Any, *_: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    with (
        patch("armonik_agent.execution.run_execution.RunExecution.finish", fails),
        World(0, 1, whole=True) as world,
    ):
        Watcher(world)
        executions = counting(world, lambda pod: None)
        world.create_session("session")
        world.passes(8.0)
        world.create_task("task", "session", options={"options": {"seconds": "0.01"}})
        world.until("the task has ended", lambda: _finished(world), patience=3_600)
        (failure,) = world.tasks()["task"]["status"]["failures"]
        assert failure["reason"] == "LeaseLost"
        assert max(executions.of.values()) <= 1 + MAX_TAKEOVERS


def test_an_object_store_that_takes_no_results_bounds_executions(takes_runs: bool) -> None:
    with World(0, 2, whole=True) as world:
        Watcher(world)
        put = world.store.put

        async def refuses(key: str, data: bytes | Path) -> Any:
            if "/pack-" in key:
                raise StoreUnavailable("no room for it")
            return await put(key, data)

        world.store.put = refuses  # type: ignore[method-assign]
        executions = counting(world, lambda pod: None)
        world.create_session("session")
        world.passes(8.0)
        with patch("armonik_agent.journal.packing.MAX_RESULT_INLINE_BYTES", 0):
            world.create_task("task", "session", options={"options": {"seconds": "0.01"}})
            world.until("the task has ended", lambda: _finished(world), patience=7_200)
        (failure,) = world.tasks()["task"]["status"]["failures"]
        assert failure["reason"] == "AttemptsExhausted"
        assert "object store" in failure["message"]
        assert max(executions.of.values()) <= 1 + MAX_BROKEN_OFF


def test_nothing_is_executed_while_the_object_store_is_known_to_be_away(takes_runs: bool) -> None:
    with World(0, 2, whole=True) as world:
        Watcher(world)
        executions = counting(world, lambda pod: setattr(world.store, "down", True))
        world.create_session("session")
        world.passes(8.0)
        options = {"options": {"seconds": "1", "mode": "poison"}}
        with patch("armonik_agent.journal.packing.MAX_RESULT_INLINE_BYTES", 0):
            world.create_task("task", "session", options=options)
            world.passes(3_600)
            assert executions.of.total() == 1
            SimulatedWorker.begun = SimulatedChannel.begun = None
            world.store.down = False
            world.until("the task has ended", lambda: _finished(world))
        assert world.tasks()["task"]["status"]["phase"] == "Completed"
