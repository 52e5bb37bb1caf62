"""The worker of functions: a call in, a value or an exception out; sub-tasks, inputs, notes."""

import os
import pickle
import socket
import sys
import threading
import types
from collections.abc import Callable, Mapping
from concurrent.futures.process import _RemoteTraceback
from pathlib import Path
from typing import Any

import pytest

from armonik_sdk.functions import (
    EnvelopeDamaged,
    Form,
    Needs,
    Packed,
    PythonMismatch,
    decode_error,
    decode_value,
    encode_call,
    encode_value,
    prepare_function,
    prepare_initializer,
    read,
    reduce_need,
)
from armonik_sdk.functions import envelope as envelopes
from armonik_sdk.worker import Abort, Belonging, Element, Retry
from armonik_sdk.worker.functions import current_task, run
from armonik_sdk.worker.functions.output_tail import LINES, MAX_BYTES, OutputTail

BELONGING = Belonging(
    session="s", task="square-7f3a", partition="python", attempt=1, executions=4, seconds=60
)


class Ref:
    """A result, as clients have it."""

    def __init__(self, name: str, form: Form = Form.VALUE, length: int = 1) -> None:
        self.name, self.form, self.length = name, form, length

    def __reduce__(self) -> Any:
        return reduce_need(self, self.name, form=self.form, length=self.length)


def element(
    payload: Packed | bytes | str, folder: Path, given: Mapping[str, bytes | None] | None = None
) -> Element:
    views = {name: None if data is None else memoryview(data) for name, data in (given or {}).items()}
    raw = payload if isinstance(payload, str) else bytes(payload)
    return Element(
        17,
        "t.17",
        raw,
        views,
        ("result",),
        {"colour": "red"},
        "uid",
        folder=folder,
        needs=tuple(views),
        belongs_to=BELONGING,
    )


def call(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Packed:
    return encode_call(prepare_function(fn), args, kwargs)


def value(returned: object) -> Any:
    assert isinstance(returned, bytes)
    return decode_value(read(returned))


def failure(made: Element, kind: type[Abort | Retry] = Abort) -> BaseException:
    """What the client raises when this element ends so."""
    with pytest.raises(kind) as caught:
        run(made)
    return decode_error(read(caught.value.detail))


def test_a_call_is_executed(tmp_path: Path) -> None:
    assert value(run(element(call(lambda x, y: x - y, 7, y=3), tmp_path))) == 4


def test_a_call_in_a_file_is_mapped(tmp_path: Path) -> None:
    (tmp_path / "payload").write_bytes(bytes(call(len, b"x" * 100_000)))
    assert value(run(element("payload", tmp_path))) == 100_000


def test_none_is_a_value(tmp_path: Path) -> None:
    assert value(run(element(call(lambda: None), tmp_path))) is None


# Exceptions.


def test_an_exception_arrives_with_the_call_and_what_was_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def square(x: int) -> int:
        from armonik_sdk.worker.functions.output_tail import tail

        tail.add(b"one\ntwo\n")
        raise ZeroDivisionError(x)

    got = failure(element(call(square, 17), tmp_path))
    assert type(got) is ZeroDivisionError
    assert got.args == (17,)
    where, printed = got.__notes__
    pod = socket.gethostname()
    assert where == (f"square(x=17): element 17 of task square-7f3a, execution 1 of 4, pod {pod}")
    assert printed == "it printed last:\none\ntwo"
    assert type(got.__cause__) is _RemoteTraceback
    assert "in square" in str(got.__cause__)
    assert "run.py" not in str(got.__cause__)


def test_an_exception_is_final_unless_it_is_named(tmp_path: Path) -> None:
    def fails() -> None:
        raise FileNotFoundError("gone")

    named = encode_call(prepare_function(fails), retry_on=(OSError,))
    assert type(failure(element(named, tmp_path), Retry)) is FileNotFoundError
    other = encode_call(prepare_function(fails), retry_on=(KeyError,))
    assert type(failure(element(other, tmp_path))) is FileNotFoundError
    with pytest.raises(Abort, match="FileNotFoundError: gone"):
        run(element(call(fails), tmp_path))


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_whatever_is_raised_is_the_elements_end(tmp_path: Path, error: BaseException) -> None:
    def fails() -> None:
        raise error

    assert type(failure(element(call(fails), tmp_path))) is type(error)


def test_a_value_that_cannot_be_pickled_is_named(tmp_path: Path) -> None:
    got = failure(element(call(threading.Lock), tmp_path))
    assert "cannot send Lock: a _thread.lock" in str(
        got
    ) or "cannot send allocate_lock: a _thread.lock" in str(got)


def test_a_module_that_is_missing_says_how_to_send_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("not_in_the_image")
    exec("def f(): pass", vars(module))
    monkeypatch.setitem(sys.modules, "not_in_the_image", module)
    sent = call(module.f)
    monkeypatch.delitem(sys.modules, "not_in_the_image")
    got = failure(element(sent, tmp_path))
    assert isinstance(got, ModuleNotFoundError)
    assert "send the module with code=[…] or packages=[…]" in got.__notes__[1]


# What is refused.


def test_a_damaged_call_is_refused_before_it_is_unpickled(tmp_path: Path) -> None:
    raw = bytearray(bytes(call(print, "x")))
    raw[-1] ^= 1
    got = failure(element(bytes(raw), tmp_path))
    assert isinstance(got, EnvelopeDamaged)
    assert "SHA-256 differs" in str(got)


def test_a_payload_that_is_no_call_is_refused(tmp_path: Path) -> None:
    assert isinstance(failure(element(pickle.dumps(print), tmp_path)), EnvelopeDamaged)


def test_a_call_of_another_python_is_refused_finally(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = bytes(call(lambda: 1))
    monkeypatch.setattr("armonik_sdk.functions.versions._HERE", envelopes.Versions("3.99", "0.2.0", "3.1.3"))
    got = failure(element(sent, tmp_path))
    assert isinstance(got, PythonMismatch)
    assert "and this is Python 3.99" in str(got)


def test_a_call_that_was_given_too_little_is_refused(tmp_path: Path) -> None:
    needs = Needs()
    sent = encode_call(prepare_function(print), (Ref("a"), Ref("b")), needs=needs)
    got = failure(element(sent, tmp_path, {"a": b"x"}))
    assert "needs 2 results, and the element was given 1" in str(got)


# Inputs.


def test_results_arrive_as_values_bytes_paths_and_sequences(tmp_path: Path) -> None:
    given: dict[str, bytes | None] = {
        "value": bytes(encode_value({"a": 1})),
        "other language": b"raw",
        "file": b"content",
        "s0": bytes(encode_value(0)),
        "s1": bytes(encode_value(1)),
        "s2": bytes(encode_value(2)),
    }

    def show(value: Any, raw: Any, path: Path, sequence: Any) -> Any:
        return value, raw, path.read_text(), list(sequence), sequence[-1], list(sequence[1:]), len(sequence)

    refs = Ref("value"), Ref("other language"), Ref("file", Form.FILE), Ref("s", Form.SEQUENCE, 3)
    sent = encode_call(prepare_function(show), refs, needs=Needs())
    got = value(run(element(sent, tmp_path, given)))
    assert got == ({"a": 1}, b"raw", "content", [0, 1, 2], 2, [1, 2], 3)


def test_results_in_files_are_mapped_or_given_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "value").write_bytes(bytes(encode_value([1, 2])))
    (tmp_path / "file").write_bytes(b"content")

    def show(value: Any, path: Path) -> Any:
        return value, str(path)

    sent = encode_call(prepare_function(show), (Ref("value"), Ref("file", Form.FILE)), needs=Needs())
    got = value(run(element(sent, tmp_path, {"value": None, "file": None})))
    assert got == ([1, 2], str(tmp_path / "file"))


def test_a_function_that_was_put_is_decoded_once_in_a_process(tmp_path: Path) -> None:
    calls = prepare_function(lambda: id(current_task))
    assert calls.packed is not None
    needs = Needs()
    place = needs.add("function", "function", form=Form.FUNCTION)
    sent = encode_call(calls, needs=needs, function_need=place)
    first = element(sent, tmp_path, {"one-id": bytes(calls.packed)})
    again = element(sent, tmp_path, {"one-id": b"not read again"})
    assert value(run(first)) == value(run(again))


def test_an_initializer_runs_once_in_a_process(tmp_path: Path) -> None:
    initializer = prepare_initializer(
        lambda name: os.environ.update({name: os.environ.get(name, "") + "x"}), ("ARMONIK_T",)
    )
    sent = encode_call(prepare_function(os.getenv), ("ARMONIK_T",), initializer=initializer)
    try:
        assert [value(run(element(sent, tmp_path))) for _ in range(3)] == ["x"] * 3
    finally:
        os.environ.pop("ARMONIK_T", None)


# The element, and sub-tasks.


def test_a_function_may_ask_about_its_element(tmp_path: Path) -> None:
    def ask() -> Any:
        task = current_task()
        (task.scratch / "file").write_text("x")
        left = 0 < task.seconds_left <= 60
        return (
            task.task,
            task.index,
            task.attempt,
            task.session,
            task.partition,
            dict(task.options),
            left,
            task.scratch,
        )

    *said, scratch = value(run(element(call(ask), tmp_path)))
    assert said == ["square-7f3a", 17, 1, "s", "python", {"colour": "red"}, True]
    assert not scratch.exists()
    assert current_task() is None


def output_of(made: Element, folder: Path) -> bytes:
    """Run an element and, as the core would, its sub-tasks; the bytes of its output."""
    output, results = run(made), list[bytes]()
    for sub_task in made.sub_tasks:
        data = [results[n] if isinstance(n, int) else made.dependencies[n] for n in sub_task.needs]
        needs = tuple(f"{made.task_id}-{need}" for need in sub_task.needs)
        views = {name: memoryview(one) for name, one in zip(needs, data, strict=True)}
        name = f"{made.task_id}-{len(results)}"
        inner = Element(0, name, sub_task.payload, views, ("result",), {}, "uid", folder=folder, needs=needs)
        results.append(output_of(inner, folder))
        if sub_task.output == "result":
            output = results[-1]
    assert isinstance(output, bytes)
    return output


def executed(made: Element, folder: Path) -> Any:
    return value(output_of(made, folder))


def test_a_returned_future_hands_the_output_over(tmp_path: Path) -> None:
    def parent(n: int) -> Any:
        task = current_task()
        table = task.put({"factor": 10})
        squares = task.map(lambda i, t: i * i * t["factor"], range(n), [table] * n)
        return task.submit(lambda values, extra: sum(values) + extra[0], squares, [squares[1]])

    made = element(call(parent, 4), tmp_path)
    assert executed(made, tmp_path) == 140 + 10
    assert [sub_task.output for sub_task in made.sub_tasks] == [None] * 5 + ["result"]


def test_a_returned_map_hands_over_a_list_of_its_results(tmp_path: Path) -> None:
    made = element(call(lambda: current_task().map(abs, [-1, -2])), tmp_path)
    assert executed(made, tmp_path) == [1, 2]


def test_a_function_may_submit_itself(tmp_path: Path) -> None:
    def factorial(n: int, so_far: int = 1) -> Any:
        return so_far if n < 2 else current_task().submit(factorial, n - 1, so_far * n)

    assert executed(element(call(factorial, 5), tmp_path), tmp_path) == 120


def test_a_function_that_was_put_is_needed_by_its_own_sub_tasks(tmp_path: Path) -> None:
    padding = "x" * 20_000

    def count(n: int) -> Any:
        assert padding
        return n if n < 1 else current_task().submit(count, n - 1)

    function = prepare_function(count)
    assert function.packed is not None
    needs = Needs()
    place = needs.add("f", "f", form=Form.FUNCTION)
    sent = encode_call(function, (1,), needs=needs, function_need=place)
    made = element(sent, tmp_path, {"held": bytes(function.packed)})
    assert run(made) is None


def test_a_long_function_is_sent_once_for_many_sub_tasks(tmp_path: Path) -> None:
    table = bytes(range(256)) * 100

    def parent() -> Any:
        return current_task().map(lambda i: table[i], range(5))

    function, needs = prepare_function(parent), Needs()
    assert function.packed is not None
    place = needs.add("f", "f", form=Form.FUNCTION)
    sent = encode_call(function, needs=needs, function_need=place)
    made = element(sent, tmp_path, {"long": bytes(function.packed)})
    assert executed(made, tmp_path) == [0, 1, 2, 3, 4]
    assert sum(len(sub_task.payload) > 20_000 for sub_task in made.sub_tasks) == 1


@pytest.mark.parametrize(
    "waits",
    [
        lambda: current_task().submit(abs, 1).result(),
        lambda: current_task().submit(abs, 1).exception(),
        lambda: current_task().map(abs, [1]).results(),
    ],
)
def test_nobody_waits_inside_a_worker(tmp_path: Path, waits: Callable[[], Any]) -> None:
    got = failure(element(call(waits), tmp_path))
    assert isinstance(got, RuntimeError)
    assert "return the future, or give it to another sub-task" in str(got)


def test_a_future_inside_a_returned_value_is_refused(tmp_path: Path) -> None:
    got = failure(element(call(lambda: [current_task().submit(abs, 1)]), tmp_path))
    assert "a TaskFuture can only be sent as an argument of submit or map" in str(got)


def test_a_future_of_another_execution_is_refused(tmp_path: Path) -> None:
    kept: list[Any] = []
    module = types.ModuleType("kept_futures")
    module.kept = kept  # type: ignore[attr-defined]
    sys.modules["kept_futures"] = module

    def keep() -> None:
        import kept_futures  # type: ignore[import-not-found]

        kept_futures.kept.append(current_task().submit(abs, 1))

    def use() -> Any:
        import kept_futures

        return current_task().submit(abs, kept_futures.kept[0])

    def give() -> Any:
        import kept_futures

        return kept_futures.kept[0]

    try:
        run(element(call(keep), tmp_path))
        assert "of another execution" in str(failure(element(call(use), tmp_path)))
        assert "of another execution" in str(failure(element(call(give), tmp_path)))
    finally:
        del sys.modules["kept_futures"]


# What is printed.


def test_the_tail_keeps_the_last_lines_in_bounded_memory() -> None:
    tail = OutputTail()
    for number in range(100_000):
        tail.add(f"line {number}\n".encode())
    assert tail.lines() == [f"line {number}" for number in range(100_000 - LINES, 100_000)]
    tail.add(b"x" * 10**7)
    assert len(tail._bytes) <= 3 * MAX_BYTES
    tail.clear()
    assert tail.lines() == []
