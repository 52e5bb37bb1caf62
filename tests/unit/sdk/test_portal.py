"""The thread behind a blocking client: Ctrl-C, generators left early, running loops, fork, the end."""

import asyncio
import concurrent.futures
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import armonik_sdk as ak
import armonik_sdk.aio as aio
from armonik_sdk.aio.core.client import ClientCore
from armonik_sdk.client.errors import NotConnected
from armonik_sdk.sync.portal import iterate, run


def double(x: int) -> int:
    return 2 * x


@pytest.fixture(scope="module")
def client() -> Iterator[ak.Client]:
    with ak.connect("local") as client:
        yield client


@pytest.fixture
def session(client: ak.Client) -> Iterator[ak.Session]:
    with client.session(on_exit="cancel") as session:
        yield session


def test_ctrl_c_in_the_waiting_thread_cancels_the_coroutine_and_raises_at_once(client: ak.Client) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def endless() -> None:
        begun.set()
        try:
            await asyncio.sleep(600)
        finally:
            ended.set()

    def interrupt() -> None:
        assert begun.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run(client._core, endless())
    thread.join()
    assert ended.wait(30)


def test_what_begins_as_the_loop_is_closed_waits_no_longer() -> None:
    asked, errors = threading.Event(), list[BaseException]()

    class Noting(asyncio.SelectorEventLoop):
        def call_soon_threadsafe(self, *args: Any, **named: Any) -> asyncio.Handle:
            handle = super().call_soon_threadsafe(*args, **named)
            asked.set()
            return handle

    async def made() -> ClientCore:
        grid: Any = SimpleNamespace(namespace="ns")
        return ClientCore(grid)

    def wait() -> None:
        try:
            core.run(asyncio.sleep(0))
        except NotConnected as error:
            errors.append(error)

    loop = Noting()
    core = loop.run_until_complete(made())
    thread = threading.Thread(target=wait, daemon=True)
    asked.clear()
    thread.start()
    asked.wait()
    loop.close()
    thread.join(30)
    assert [str(error) for error in errors] == ["the client is closed; connect again"]


def test_what_runs_as_the_client_is_closed_says_so() -> None:
    errors = list[BaseException]()
    begun = threading.Event()

    async def endless() -> None:
        begun.set()
        await asyncio.sleep(600)

    def wait() -> None:
        try:
            core.run(endless())
        except (NotConnected, concurrent.futures.CancelledError) as error:
            errors.append(error)

    client = ak.connect("local")
    core = client._core
    thread = threading.Thread(target=wait)
    thread.start()
    begun.wait()
    client.close()
    thread.join()
    assert [type(error) for error in errors] == [NotConnected]


def test_a_generator_that_is_left_early_is_closed_on_the_loop(client: ak.Client) -> None:
    closed_in: list[int] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(10):
                yield number
        finally:
            closed_in.append(threading.get_ident())

    with contextlib.closing(iterate(client._core, numbers())) as left:  # type: ignore[type-var]
        assert next(left) == 0
    assert closed_in == [client._core._thread]


async def test_calls_work_inside_a_running_loop(session: ak.Session) -> None:
    assert session.submit(double, 2).result(60) == 4  # blocks this loop, as a notebook's cell does
    assert list(session.map(double, range(3))) == [0, 2, 4]


async def test_a_future_can_be_awaited_in_another_loop(session: ak.Session) -> None:
    assert await session.submit(double, 4) == 8
    assert await asyncio.wrap_future(session.submit(double, 5)) == 10
    assert len(await session.submit(bytes, 200_000)) == 200_000


def test_a_call_on_the_portals_own_thread_raises_and_does_not_wait_for_itself(
    session: ak.Session, tmp_path: Path
) -> None:
    gate = tmp_path / "the callback is added"
    errors: list[BaseException] = []

    def call(_: object) -> None:
        try:
            session.info()
        except RuntimeError as error:
            errors.append(error)

    def wait() -> int:
        while not gate.exists():
            time.sleep(0.01)
        return 2

    future = session.submit(wait)
    future.add_done_callback(call)  # of a future that is done, it would be called here, on this thread
    gate.touch()
    assert future.result(60) == 2
    session.info()
    assert "on the event loop that it waits for" in str(errors[0])


def test_a_callback_may_ask_for_the_value(session: ak.Session) -> None:
    values: list[int] = []
    told = threading.Event()

    def keep(future: ak.Future[bytes]) -> None:
        values.append(len(future.result()))
        told.set()

    session.submit(bytes, 300_000).add_done_callback(keep)  # type: ignore[arg-type]
    assert told.wait(60)
    assert values == [300_000]


async def test_result_in_asynchronous_code_raises_unless_it_is_there() -> None:
    async with await aio.connect("local") as client, await client.session(on_exit="cancel") as session:
        future = session.submit(double, 3)
        with pytest.raises(RuntimeError, match="await the future"):
            future.result()
        assert await future == 6
        assert future.result() == 6
        assert [x async for x in session.map(double, range(3))] == [0, 2, 4]


def test_in_the_child_of_a_fork_each_use_raises(client: ak.Client, session: ak.Session) -> None:
    pending = session.submit(double, 1)
    pending.result(60)
    never = ak.Future(pending.session, "never")
    read, write = os.pipe()
    child = os.fork()
    if not child:
        said = []
        for use in (lambda: session.submit(double, 1), session.info, client.session, never.result):
            try:
                use()  # type: ignore[operator]
            except ak.NotConnected as error:
                said.append(str(error))
            except BaseException as error:  # noqa: BLE001 - the parent shows it
                said.append(repr(error))
        os.write(write, "\n".join(said).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as told:
        assert (
            told.read().splitlines() == ["this client was made before a fork; connect again in the child"] * 4
        )


def test_a_client_that_is_closed_says_so() -> None:
    client = ak.connect("local")
    session = client.session()
    future = session.submit(asyncio.sleep, 0)  # a coroutine cannot be sent back, but that is not waited for
    client.close()
    client.close()
    with pytest.raises(ak.NotConnected):
        session.submit(double, 1)
    with pytest.raises(ak.NotConnected):
        session.info()
    assert future.done()


def program(text: str, *, wait: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(text)],
        capture_output=True,
        text=True,
        timeout=wait,
        check=False,
        env={**os.environ, "ARMONIK_GRID": "local"},
    )


def test_the_end_of_the_program_closes_what_it_left_open() -> None:
    ended = program("""
        import time, armonik_sdk as ak
        session = ak.connect().session()
        future = session.submit(time.sleep, 600)
        session.sent()
        print("end")
    """)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("end\n", "", 0)


def test_ctrl_c_in_a_session_says_that_it_is_cancelled() -> None:
    ended = program("""
        import os, signal, threading, time, armonik_sdk as ak
        with ak.connect() as client, client.session("mine") as session:
            future = session.submit(time.sleep, 600)
            threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            future.result()
    """)
    assert "session mine is cancelled" in ended.stderr.splitlines()[0]
    assert "KeyboardInterrupt" in ended.stderr
    assert ended.returncode not in (0, None)
