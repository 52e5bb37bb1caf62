"""An executor of `concurrent.futures` over a session, and over one of its own."""

import asyncio
import concurrent.futures
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import armonik_sdk as ak
from armonik_sdk.testing import LocalGrid


@pytest.fixture(scope="module")
def client() -> Iterator[ak.Client]:
    with LocalGrid() as client:
        yield client


@pytest.fixture
def session(client: ak.Client) -> Iterator[ak.Session]:
    with client.session(on_exit="cancel") as session:
        yield session


def greet() -> None:
    import builtins

    builtins.greeting = "hello"  # type: ignore[attr-defined]


def greeting() -> str:
    import builtins

    return str(getattr(builtins, "greeting", ""))


def test_it_submits_and_maps(session: ak.Session) -> None:
    with session.executor() as executor:
        assert executor.submit(pow, 2, 5).result(60) == 32
        assert list(executor.map(pow, range(4), range(4))) == [1, 1, 4, 27]
        assert list(executor.map(abs, range(-5, 0), chunksize=2)) == [5, 4, 3, 2, 1]
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(abs, 1)
    assert session.submit(abs, -1).result(60) == 1  # the session is the caller's


def test_a_map_gives_up_after_its_timeout(session: ak.Session) -> None:
    with session.executor() as executor:
        values = executor.map(time.sleep, [0, 600], timeout=1.0)
        assert next(values) is None
        with pytest.raises(TimeoutError):
            next(values)


def test_its_options_are_those_of_the_submitter(session: ak.Session) -> None:
    with session.options(timeout=1).executor() as executor, pytest.raises(ak.TaskTimeout):
        executor.submit(time.sleep, 600).result(60)


def test_an_initializer_runs_in_each_process(session: ak.Session) -> None:
    with ak.Executor(session=session, initializer=greet) as executor:
        assert set(executor.map(lambda _: greeting(), range(8))) == {"hello"}


def test_one_without_a_session_makes_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARMONIK_GRID", "local")
    with ak.Executor(max_workers=3) as executor:
        assert executor._max_workers == 3
        future, large = executor.submit(abs, -4), executor.submit(bytes, 200_000)
    assert (future.result(), len(large.result())) == (4, 200_000)
    executor.shutdown()


def test_packages_are_those_of_its_own_session(
    session: ak.Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ARMONIK_GRID", "local")
    with pytest.raises(ValueError, match="packages: the session that was given has its own"):
        ak.Executor(session=session, packages=["six"])
    with pytest.raises(FileNotFoundError, match=r"missing\.txt"):
        ak.Executor(packages=tmp_path / "missing.txt")


def test_shutdown_without_waiting_lets_calls_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARMONIK_GRID", "local")
    executor = ak.Executor()
    future = executor.submit(abs, -4)
    executor.shutdown(wait=False)
    assert future.result(60) == 4


def test_shutdown_can_cancel_what_has_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARMONIK_GRID", "local")
    executor = ak.Executor()
    futures = [executor.submit(time.sleep, 0.2) for _ in range(50)]
    futures[0].result(60)
    executor.shutdown(cancel_futures=True)
    cancelled = [future for future in futures if future.cancelled()]
    assert cancelled
    assert all(future.done() and future.exception() is None for future in futures if future not in cancelled)


def test_shutdown_cancels_what_is_not_sent_yet_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARMONIK_GRID", "local")
    executor = ak.Executor()
    usual = sys.getswitchinterval()
    sys.setswitchinterval(60.0)  # the thread that sends has no turn until this one waits
    try:
        futures = [executor.submit(time.sleep, 0.2) for _ in range(50)]
        executor.shutdown(cancel_futures=True)
    finally:
        sys.setswitchinterval(usual)
    ended = [future for future in futures if not future.cancelled()]
    assert 0 < len(ended) < len(futures)
    assert all(future.exception() is None for future in ended)


def hold(begun: Path, over: Path) -> str:
    begun.touch()
    while not over.exists():
        time.sleep(0.01)
    return "ended"


def test_a_second_shutdown_lets_what_runs_end_as_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ARMONIK_GRID", "local")
    executor, begun, over = ak.Executor(), tmp_path / "begun", tmp_path / "over"
    future = executor.submit(hold, begun, over)
    executor.shutdown(wait=False)
    while not begun.exists():
        time.sleep(0.01)
    executor.shutdown(wait=False, cancel_futures=True)
    over.touch()
    assert future.result(60) == "ended"


def test_one_that_is_closed_already_can_be_shut_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARMONIK_GRID", "local")
    executor = ak.Executor()
    assert executor.submit(abs, -1).result(60) == 1
    executor.shutdown()
    executor.shutdown(cancel_futures=True)


def test_a_call_that_waits_for_another_session_holds_up_no_call_and_no_shutdown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ARMONIK_GRID", "local")
    executor = ak.Executor()
    assert executor._client is not None
    other = executor._client.session(on_exit="cancel")
    other.pause()
    awaited = other.submit(abs, -1)
    assert awaited.id
    with pytest.warns(UserWarning, match="fetched here and sent"):
        waiting = executor.submit(abs, awaited)
    assert executor.submit(abs, -2).result(10) == 2
    executor.shutdown(wait=False, cancel_futures=True)
    assert waiting.cancelled()


@pytest.mark.parametrize("workers", [0, -1])
def test_a_number_of_workers_that_cannot_be_is_refused(workers: int) -> None:
    with pytest.raises(ValueError, match="max_workers must be greater than 0"):
        ak.Executor(workers)


def test_an_initializer_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="initializer must be a callable"):
        ak.Executor(initializer=3)  # type: ignore[arg-type]


async def test_run_in_executor_works(session: ak.Session) -> None:
    executor = session.executor()
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(executor, pow, 3, 2) == 9
    assert len(await loop.run_in_executor(executor, bytes, 200_000)) == 200_000


def test_the_functions_of_the_standard_library_take_its_futures(session: ak.Session) -> None:
    executor = session.executor()
    futures = [executor.submit(abs, -x) for x in range(3)]
    done, left = concurrent.futures.wait(futures, timeout=60)
    assert (sorted(future.result() for future in done), left) == ([0, 1, 2], set())


def test_dask_runs_its_graphs_on_it(session: ak.Session) -> None:
    import dask
    import dask.delayed

    squares = [dask.delayed(pow)(x, 2) for x in range(5)]
    total = dask.delayed(sum)(squares)
    with session.executor() as executor, dask.config.set(scheduler="processes", pool=executor):
        assert total.compute() == 30
    assert sum(info.total for info in session.tasks()) > 0
