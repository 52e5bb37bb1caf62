"""What `result()` raises: each row of the table of errors, and bad input."""

import concurrent.futures
import os
import signal
import sys
import threading
import time
from concurrent.futures.process import _RemoteTraceback

import pytest

import armonik_sdk as ak

WAIT = 120.0


class UnluckyError(Exception):
    """Can be pickled, and not be unpickled: its constructor wants more."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(f"{code}: {why}")


def square(x: int) -> int:
    sys.stdout.write(f"squaring {x}\n")
    raise ValueError(f"no square of {x}")


def test_the_exception_of_the_function_is_raised_with_its_traceback_and_notes(session: ak.Session) -> None:
    future = session.submit(square, 17)
    with pytest.raises(ValueError, match="no square of 17") as raised:
        future.result(WAIT)
    error = raised.value
    assert isinstance(error.__cause__, _RemoteTraceback)
    assert "in square" in str(error.__cause__)
    assert 'raise ValueError(f"no square of {x}")' in str(
        error.__cause__
    )  # sent by value: the source is here
    notes = "\n".join(error.__notes__)
    assert f"square(x=17): element {future.index} of task {future.task}, execution 1 of" in notes
    assert future.exception() is error


@pytest.mark.processes
def test_the_notes_have_what_the_call_printed_last(session: ak.Session) -> None:
    with pytest.raises(ValueError, match="no square of 17") as raised:
        session.submit(square, 17).result(WAIT)
    assert "squaring 17" in "\n".join(raised.value.__notes__)


def test_an_exception_of_the_function_is_final(
    session: ak.Session, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def counted() -> None:
        raise OSError("again")

    future = session.options(max_retries=3).submit(counted)
    with pytest.raises(OSError, match="again") as raised:
        future.result(WAIT)
    assert "execution 1 of 4" in "\n".join(raised.value.__notes__)


def test_exceptions_that_are_named_are_tried_again(session: ak.Session) -> None:
    def always() -> None:
        raise OSError("again")

    future = session.options(max_retries=2, retry_on=(OSError,)).submit(always)
    with pytest.raises(OSError, match="again") as raised:
        future.result(WAIT)
    assert "execution 3 of 3" in "\n".join(raised.value.__notes__)


def test_an_exception_that_cannot_be_rebuilt_is_a_remote_error(session: ak.Session) -> None:
    def fail() -> None:
        raise UnluckyError(3, "no luck")

    with pytest.raises(ak.RemoteError, match="UnluckyError: 3: no luck") as raised:
        session.submit(fail).result(WAIT)
    assert raised.value.type_name.endswith("UnluckyError")
    assert raised.value.text == "3: no luck"
    assert "in fail" in raised.value.traceback
    assert raised.value.why


def test_an_exception_that_holds_what_cannot_be_sent_is_a_remote_error(session: ak.Session) -> None:
    def fail() -> None:
        error = ValueError("locked")
        error.lock = threading.Lock()  # type: ignore[attr-defined]
        raise error

    with pytest.raises(ak.RemoteError, match="ValueError: locked"):
        session.submit(fail).result(WAIT)


@pytest.mark.processes
def test_a_process_that_dies_is_tried_again_and_then_lost(session: ak.Session) -> None:
    def die() -> None:
        print("last words", flush=True)  # noqa: T201
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ak.WorkerLost, match="was killed by SIGKILL, perhaps for want of memory") as raised:
        session.options(max_retries=1).submit(die).result(WAIT)
    assert "it printed last:\nlast words" in raised.value.__notes__
    lost = session.options(max_retries=0).map(lambda _: die(), range(2)).results(WAIT, errors="return")
    assert ["it printed last:\nlast words" in error.__notes__ for error in lost] == [True, True]


@pytest.mark.processes
@pytest.mark.parametrize("code", [0, 3])
def test_a_function_that_ends_its_process_loses_it(session: ak.Session, code: int) -> None:
    with pytest.raises(ak.WorkerLost, match=f"ended with code {code}"):
        session.options(max_retries=0).submit(os._exit, code).result(WAIT)


@pytest.mark.processes
def test_a_call_that_takes_too_long_is_a_timeout(session: ak.Session) -> None:
    future = session.options(timeout=1).submit(time.sleep, 600)
    with pytest.raises(ak.TaskTimeout):
        future.result(WAIT)
    with pytest.raises(TimeoutError):
        future.result(WAIT)


@pytest.mark.processes
def test_a_call_that_takes_too_long_says_what_it_printed(session: ak.Session) -> None:
    def slow() -> None:
        for step in range(100):
            print(f"step {step}", flush=True)  # noqa: T201
        time.sleep(600)

    with pytest.raises(ak.TaskTimeout) as raised:
        session.options(timeout=2).submit(slow).result(WAIT)
    said = "\n".join(f"step {step}" for step in range(80, 100))
    assert f"it printed last:\n{said}" in raised.value.__notes__


def test_a_cancelled_call_raises_as_the_standard_library_does(session: ak.Session) -> None:
    mapped = session.map(time.sleep, [600])
    mapped.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        mapped.results(WAIT)


def test_a_call_whose_dependency_failed_has_it_as_its_cause(session: ak.Session) -> None:
    first = session.submit(square, 3)
    second = session.submit(abs, first)
    third = session.submit(abs, second)
    with pytest.raises(ak.DependencyFailed) as raised:
        second.result(WAIT)
    assert isinstance(raised.value.__cause__, ValueError)
    with pytest.raises(ak.DependencyFailed) as raised:
        third.result(WAIT)
    cause = raised.value.__cause__
    assert isinstance(cause, ak.DependencyFailed)
    assert isinstance(cause.__cause__, ValueError)


def test_a_value_that_was_deleted_says_so(session: ak.Session) -> None:
    ref = session.put(bytes(1000))
    ref.delete()
    with pytest.raises(ak.ResultDeleted):
        ref.get(WAIT)


# Bad input ------------------------------------------------------------------------------------------------


def test_an_argument_that_cannot_be_sent_is_named(session: ak.Session) -> None:
    with pytest.raises(ak.NotPicklable, match="lock"):
        session.submit(len, {"model": threading.Lock()})
    with pytest.raises(ak.NotPicklable):
        session.map(len, [[], [threading.Lock()]])
    with pytest.raises(TypeError, match="a function is needed"):
        session.submit(3)  # type: ignore[arg-type]


def test_a_future_outside_of_a_submission_cannot_be_pickled(session: ak.Session) -> None:
    import pickle

    future = session.submit(abs, 1)
    with pytest.raises(ak.NotPicklable, match="can only be sent as an argument of submit or map"):
        pickle.dumps(future)


def test_a_result_that_cannot_be_sent_back_is_named(session: ak.Session) -> None:
    with pytest.raises(ak.NotPicklable, match="lock"):
        session.submit(threading.Lock).result(WAIT)


@pytest.mark.processes
def test_a_module_that_is_missing_there_is_named(
    session: ak.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    import types

    module = types.ModuleType("module_of_this_test")
    exec("def answer(): return 42", module.__dict__)
    monkeypatch.setitem(sys.modules, "module_of_this_test", module)
    with pytest.raises(ModuleNotFoundError, match="module_of_this_test") as raised:
        session.submit(module.answer).result(WAIT)
    assert "send the module with code=" in "\n".join(raised.value.__notes__)


def test_a_function_that_prints_a_lot_is_none_the_worse(session: ak.Session) -> None:
    def chatter() -> int:
        for _ in range(2_000):
            sys.stdout.write(f"{'x' * 5_000}\n")
        return 1

    assert session.submit(chatter).result(WAIT) == 1


@pytest.mark.processes
def test_a_function_that_forks_ends_once(session: ak.Session) -> None:
    def fork() -> int:
        if not os.fork():
            return 2
        return 1

    assert session.submit(fork).result(WAIT) == 1


@pytest.mark.processes
def test_a_function_that_closes_its_input_is_none_the_worse(session: ak.Session) -> None:
    def close() -> int:
        sys.stdin.close()
        return 1

    assert session.submit(close).result(WAIT) == 1
    assert session.submit(abs, -2).result(WAIT) == 2


def test_a_function_that_exits_is_an_exception(session: ak.Session) -> None:
    with pytest.raises(SystemExit):
        session.submit(sys.exit, 3).result(WAIT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"priority": 0}, "priority: 1 to 99, not 0"),
        ({"timeout": 0}, "timeout: more than 0 seconds"),
        ({"max_retries": -1}, "max_retries: 0 or more"),
    ],
)
def test_options_that_cannot_be_are_named(session: ak.Session, options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        session.options(**options)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="retry_on: classes of exceptions"):
        session.options(retry_on=(3,))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="chunksize: 1 or more"):
        session.map(abs, [1], chunksize=0)


def test_a_partition_that_the_session_does_not_have_is_refused(session: ak.Session) -> None:
    with pytest.raises(ak.Refused, match="partition"):
        session.options(partition="nowhere").submit(abs, 1).result(WAIT)
