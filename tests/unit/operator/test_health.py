"""Probes that are accurate, and a bounded number of handlers at the object store."""

import asyncio
import logging
import time

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.app.health import STUCK_SECONDS, Health, Progress, TenantHealth
from armonik_operator.clients.availability import (
    KNOWN_SECONDS,
    Availability,
    StoreDoor,
    busy,
    probe_until_up,
)
from armonik_operator.errors import StoreBusy
from armonik_sdk.apiserver import PROBE_TIMEOUT
from armonik_sdk.circuit import Circuit
from armonik_sdk.dataplane.errors import StoreUnavailable
from armonik_sdk.event_loop_lag import (
    IDLE_INTERVAL,
    INTERVAL,
    LIMIT,
    REPORT_SECONDS,
    LoopMonitor,
    next_interval,
    waited_for_cpu,
)
from simulation.loop import VirtualLoop


def leader() -> Health:
    health = Health(Availability())
    health.note_kinds("")
    health.leader = True
    health.tenants.append(TenantHealth(health._dependencies.nats))
    health.tenants[0].working = True
    health._dependencies.nats.answered()
    return health


def test_a_standby_needs_the_apiserver_alone() -> None:
    health = Health(Availability())
    health.note_kinds("")
    assert health.unready() == ""
    health._dependencies.apiserver.down("silent")
    assert health.unready() == "apiserver is down: silent"


def test_nobody_is_ready_before_the_kinds_are_served() -> None:
    health = leader()
    health.note_kinds("tasks.armonik.io are not served yet")
    assert health.unready() == "tasks.armonik.io are not served yet"
    assert health.dead() == "", "a restart does not help"


def test_a_leader_needs_the_replay_nats_and_the_apiserver_but_not_the_store() -> None:
    health = leader()
    health._dependencies.store.down("silent")
    assert health.unready() == ""
    health._dependencies.nats.down("the connection is lost")
    assert health.unready() == "nats is down: the connection is lost"
    health.tenants[0].working = False
    assert health.unready() == "the journal is not replayed yet"


def test_progress_only_counts_while_there_is_something_to_do() -> None:
    now = [0.0]
    progress = Progress(lambda: now[0])
    now[0] = 100.0
    assert progress.stuck == 0.0
    progress.waits()
    now[0] = 130.0
    progress.waits()  # more to do: what waited first counts
    assert progress.stuck == 30.0
    progress.moved()
    now[0] = 140.0
    assert progress.stuck == 10.0
    progress.moved(idle=True)
    now[0] = 150.0
    assert progress.stuck == 0.0


def test_who_does_not_get_on_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    health = leader()
    tenant = health.tenants[0]
    tenant.queue.waits()
    tenant.fold.moved()
    assert health.dead() == ""
    later = time.monotonic() + STUCK_SECONDS + 1
    health.monitor.ticked = later
    tenant.queue._clock = tenant.fold._clock = lambda: later
    assert "no handler has ended" in health.dead()
    tenant.queue.moved(idle=True)
    assert "the journal was not read" in health.dead()
    tenant.fold.moved()
    assert health.dead() == ""


async def test_probes_and_metrics_are_served(unused_tcp_port: int) -> None:
    health = leader()
    runner = await health.serve(unused_tcp_port)
    found: dict[str, tuple[int, str]] = {}
    async with aiohttp.ClientSession() as session:
        for path in ("livez", "readyz", "metrics"):
            async with session.get(f"http://127.0.0.1:{unused_tcp_port}/{path}") as answer:
                found[path] = (answer.status, await answer.text())
    await runner.cleanup()
    assert found["livez"] == found["readyz"] == (200, "ok\n")
    for line in (
        'armonik_dependency_up{dependency="nats"} 1.0',
        "armonik_leader 1.0",
        'armonik_event_loop_lag_seconds_bucket{le="0.05"} 0.0',
    ):
        assert line in found["metrics"][1]


def test_lag_is_logged_with_bounds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "armonik_sdk.event_loop_lag")
    seen: list[float] = []
    monitor = LoopMonitor(seen.append)
    start = 1000.0
    monitor.note(LIMIT / 2, start)
    for number in range(100):
        monitor.note(2 * LIMIT, start + number / 100)
    assert [record.getMessage() for record in caplog.records] == [
        "the event loop was held 1 times, at most 0.100 s"
    ]
    monitor.note(0.0, start + REPORT_SECONDS)
    assert caplog.records[-1].getMessage() == "the event loop was held 99 times, at most 0.100 s"
    assert len(seen) == 102


@given(
    holds=st.lists(st.floats(LIMIT, 0.5), min_size=1, max_size=3),
    idle=st.floats(0.0, 0.01),
    length=st.sampled_from([INTERVAL, IDLE_INTERVAL]),
)
def test_whoever_has_held_the_loop_once_is_measured_often(
    holds: list[float], idle: float, length: float
) -> None:
    # A wake-up is late by the last of them, at most.
    assert next_interval(sum(holds) + idle, length + holds[-1]) == INTERVAL
    assert next_interval(idle * length, length) == IDLE_INTERVAL > INTERVAL


@pytest.mark.parametrize(("waits", "expected"), [(0.0, True), (60.0, False)])
async def test_time_without_a_cpu_is_no_lag(waits: float, expected: bool) -> None:
    total, seen, measured = 0.0, list[float](), asyncio.Event()

    def waited() -> float:
        nonlocal total
        total += waits
        return total

    def observe(lag: float) -> None:
        seen.append(lag)
        measured.set()

    running = asyncio.create_task(LoopMonitor(observe, waited).run())
    await asyncio.sleep(0)
    time.sleep(INTERVAL + 2 * LIMIT)  # noqa: ASYNC251 - it is to be late
    await measured.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (seen[0] > LIMIT) is expected


def test_the_kernel_counts_what_a_thread_waits_for_a_cpu() -> None:
    before = waited_for_cpu()
    assert waited_for_cpu() >= before > 0.0


async def test_what_holds_the_loop_is_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "armonik_sdk.event_loop_lag")
    monitor = LoopMonitor(lambda _: None)
    running = asyncio.create_task(monitor.run())
    await asyncio.sleep(0)

    def hold_the_loop() -> None:
        deadline = time.monotonic() + 60.0
        while not any("hold_the_loop" in record.getMessage() for record in caplog.records):
            assert time.monotonic() < deadline

    hold_the_loop()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_few_handlers_use_the_store_at_once_and_none_is_refused_halfway() -> None:
    door, go = StoreDoor(2), asyncio.Event()

    async def handler() -> int:
        with door.handler():
            door.admit()
            await go.wait()
            door.admit()
            return 1

    inside = [asyncio.create_task(handler()) for _ in range(2)]
    await asyncio.sleep(0)
    with door.handler(), pytest.raises(StoreBusy):
        door.admit()
    door.admit()  # what is no handler has its own pace
    go.set()
    assert await asyncio.gather(*inside) == [1, 1]
    with door.handler():
        door.admit()


def test_a_handler_that_only_found_the_door_closed_comes_again() -> None:
    assert busy(StoreBusy("x"))
    assert busy(ExceptionGroup("several", [StoreBusy("x"), StoreBusy("y")]))
    assert not busy(ExceptionGroup("several", [StoreBusy("x"), ValueError("y")]))


async def test_a_dependency_that_is_down_is_tried_until_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("armonik_operator.clients.availability.LOOK_DOWN", 0.0)
    up = asyncio.Event()
    circuit = Circuit("store", up.set)
    circuit.down("silent")
    up.clear()
    tries = 0

    async def probe() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise StoreUnavailable("silent")
        circuit.answered()

    watching = asyncio.create_task(probe_until_up(circuit, probe))
    async with asyncio.timeout(60):
        await up.wait()
    watching.cancel()
    assert circuit.up


@pytest.mark.parametrize("seconds", [PROBE_TIMEOUT, 0.0], ids=["silent", "refuses"])
def test_an_outage_is_known_in_time_though_nobody_calls(seconds: float) -> None:
    async def outage() -> None:
        looked, changed, away = asyncio.Event(), asyncio.Event(), False
        circuit = Circuit("store", changed.set, asyncio.get_running_loop().time)

        async def probe() -> None:
            looked.set()
            if not away:
                circuit.answered()
                return
            begun = circuit.now()
            await asyncio.sleep(seconds)
            circuit.failed(begun, "silent")
            raise StoreUnavailable("silent")

        looking = asyncio.create_task(probe_until_up(circuit, probe))
        for begins in (True, False):
            looked.clear()
            await looked.wait()
            away = begins  # in the moment after a look
            changed.clear()
            async with asyncio.timeout(KNOWN_SECONDS):
                await changed.wait()
            assert circuit.up is not away
        looking.cancel()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(outage())
