"""Calls and values: functions by reference or by value, results at any depth, and what cannot be pickled."""

import copy
import functools
import pickle
import subprocess
import sys
import threading
import types
from dataclasses import dataclass
from typing import Any

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_sdk.functions import (
    EnvelopeDamaged,
    Form,
    Needs,
    NotPicklable,
    Placeholder,
    PythonMismatch,
    VersionMismatch,
    Versions,
    by_reference,
    check_sendable,
    decode_call,
    decode_function,
    decode_value,
    encode_call,
    encode_value,
    here,
    needs_under_way,
    prepare_function,
    read,
    reduce_need,
)
from armonik_sdk.functions.envelope import Envelope
from armonik_sdk.functions.messages import Call
from armonik_sdk.functions.versions import check_readable

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=8,
)


class Array:
    """What NumPy's arrays are to pickle: a head, and a buffer out of band."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return Array, (pickle.PickleBuffer(self.data),)


@dataclass
class Future:
    """What a future is to pickle."""

    id: str

    def __reduce__(self) -> tuple[Any, ...]:
        return reduce_need(self, self.id)


@dataclass
class Box:
    inside: object


def never(placeholder: Placeholder) -> Any:
    raise AssertionError(f"{placeholder} is not there")


def received(fn: Any, *args: Any, **kwargs: Any) -> Call:
    return decode_call(read(bytes(encode_call(prepare_function(fn), args, kwargs))), never)


@given(st.lists(PLAIN, max_size=3), st.dictionaries(st.text(min_size=1), PLAIN, max_size=3))
def test_arguments_arrive(args: list[Any], kwargs: dict[str, Any]) -> None:
    call = received(sum, *args, **kwargs)
    assert call.function is sum
    assert call.args == tuple(args)
    assert call.kwargs == kwargs
    assert type(call.args) is tuple


@given(PLAIN)
def test_values_arrive(value: Any) -> None:
    assert decode_value(read(bytes(encode_value(value)))) == value


def test_buffers_are_not_copied_and_can_be_written() -> None:
    data = bytearray(b"x" * 5000)
    packed = encode_value([Array(data), Array(memoryview(data)[:10])])
    assert any(getattr(part, "obj", None) is data for part in packed.parts), "the buffer was copied"
    large, small = decode_value(read(bytes(packed)))
    large.data[0] = small.data[0] = 0
    assert (large.data[0], small.data[0], data[0]) == (0, 0, ord("x"))


def test_a_function_of_a_module_goes_by_reference() -> None:
    function = prepare_function(functools.reduce)
    assert (function.ref, function.packed, function.bytecode) == ("_functools:reduce", None, None)
    assert prepare_function(Versions.__new__).ref is None, "a name that gives another object"


def test_a_lambda_goes_by_value_and_says_so() -> None:
    function = prepare_function(lambda x: x + 1)
    assert function.bytecode == "<lambda>"
    assert function.inline is not None
    assert received(lambda x: x + 1, 2).function(2) == 3


def test_a_lambda_among_the_arguments_is_bytecode_too() -> None:
    assert encode_call(prepare_function(map), (lambda x: x,)).header.bytecode == "<lambda>"
    assert encode_call(prepare_function(map), (len,)).header.bytecode is None


def test_a_function_of_main_goes_by_value() -> None:
    module = types.ModuleType("__main__")
    exec("def f(x): return x * factor\nfactor = 3", vars(module))
    assert by_reference(module.f) is None
    assert received(module.f, 2).function(2) == 6


def test_a_module_that_is_registered_by_value_goes_by_value() -> None:
    assert by_reference(cloudpickle.dumps) is not None
    module = sys.modules["armonik_sdk.functions.sources"]
    cloudpickle.register_pickle_by_value(module)
    try:
        assert by_reference(module.archive) is None
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def test_a_function_may_be_put_and_needed() -> None:
    function = prepare_function(lambda x: x + 1)
    needs = Needs()
    place = needs.add("the put function", "id", form=Form.FUNCTION)
    envelope = read(bytes(encode_call(function, (1,), needs=needs, function_need=place)))
    asked: list[Placeholder] = []

    def resolve(placeholder: Placeholder) -> Any:
        asked.append(placeholder)
        assert function.packed is not None
        return decode_function(read(bytes(function.packed)))

    call = decode_call(envelope, resolve)
    assert call.function(*call.args) == 2
    assert asked == [Placeholder(0, 1, Form.FUNCTION)]


def test_a_function_with_a_large_closure_does_not_ride_in_calls() -> None:
    table = bytes(20_000)
    function = prepare_function(lambda: len(table))
    assert function.inline is None
    with pytest.raises(ValueError, match="put it, and need it"):
        encode_call(function)


# Results as arguments.


def test_results_are_found_at_any_depth_in_the_order_of_their_numbers() -> None:
    a, b, c = Future("a"), Future("b"), Future("c")
    needs = Needs()
    needs.add("function", "f", form=Form.FUNCTION)
    sent = encode_call(prepare_function(print), (a, [{"x": b}, Box((c, a))]), {"k": b}, needs=needs)
    assert [need.thing for need in needs.found] == ["function", a, b, c]
    assert sent.header.needs == 4
    values = {1: "A", 2: "B", 3: "C"}
    call = decode_call(read(bytes(sent)), lambda place: values[place.start])
    assert call.args == ("A", [{"x": "B"}, Box(("C", "A"))])
    assert call.kwargs == {"k": "B"}


def test_a_sequence_takes_as_many_places_as_it_has_results() -> None:
    needs = Needs()
    assert needs.add("all", 1, form=Form.SEQUENCE, length=5).start == 0
    assert needs.add("next", 2).start == 5
    assert needs.count == 6


def test_a_text_that_looks_like_a_placeholder_stays_a_text() -> None:
    assert received(print, "__result_handle__a", ("_resolve", 0, 1, "value")).args[0] == "__result_handle__a"


def test_a_future_elsewhere_raises_the_sentence() -> None:
    sentence = "a Future can only be sent as an argument of submit or map"
    for attempt in (
        lambda: pickle.dumps(Future("a")),
        lambda: encode_value([Future("a")]),
        lambda: copy.deepcopy(Future("a")),
    ):
        with pytest.raises(NotPicklable, match=sentence):
            attempt()


def test_each_thread_pickles_for_itself() -> None:
    seen: list[object] = []

    class Nosy:
        def __reduce__(self) -> tuple[Any, ...]:
            other = threading.Thread(target=lambda: seen.append(needs_under_way()))
            other.start()
            other.join()
            seen.append(needs_under_way())
            return int, ()

    needs = Needs()
    encode_call(prepare_function(print), (Nosy(),), needs=needs)
    assert seen == [None, needs]
    assert needs_under_way() is None


def test_a_placeholder_in_a_value_is_refused() -> None:
    needs = Needs()
    call = read(bytes(encode_call(prepare_function(print), (Future("a"),), needs=needs)))
    value = Envelope(encode_value(1).header, call.sections, call.digest)
    with pytest.raises(EnvelopeDamaged, match="where none is given"):
        decode_value(value)


def test_exceptions_to_retry_travel_with_the_call() -> None:
    sent = encode_call(prepare_function(print), (1,), retry_on=(OSError, KeyError))
    assert decode_call(read(bytes(sent)), never).retry_on == (OSError, KeyError)


# What cannot be sent.

LOCK = threading.Lock()


class Model:
    def __init__(self) -> None:
        self.lock = LOCK


def test_the_way_to_what_cannot_be_pickled_is_named() -> None:
    module = types.ModuleType("__main__")
    vars(module)["model"] = Model()
    exec("def train(x): return model", vars(module))
    with pytest.raises(NotPicklable) as caught:
        prepare_function(module.train)
    assert str(caught.value).startswith(
        'cannot send train: global "model" of __main__ holds attribute "lock", a _thread.lock. '
        "Create it inside the function"
    )
    assert isinstance(caught.value, pickle.PicklingError)
    assert isinstance(caught.value.__cause__, TypeError)


def local(lock: object) -> Any:
    def inner() -> object:
        return lock

    return inner


class Raises:
    def __reduce__(self) -> Any:
        raise RuntimeError("not me")


@pytest.mark.parametrize(
    ("args", "kwargs", "way"),
    [
        ((1, LOCK), {}, "argument 2, a _thread.lock"),
        (
            (),
            {"x": [{"k": Box(LOCK)}]},
            "argument x holds item 0 holds item 'k' holds attribute \"inside\", a",
        ),
        ((local(LOCK),), {}, 'argument 1 holds variable "lock" of the function around it, a _thread.lock'),
        ((functools.partial(print, LOCK),), {}, "argument 1 holds arguments of the partial holds item 0, a"),
        (({LOCK: 1},), {}, "argument 1 holds key <unlocked _thread.lock object"),
        ((Raises(),), {}, "Raises (RuntimeError: not me)"),
        (((x for x in ()),), {}, "argument 1, a generator"),
    ],
)
def test_the_way_leads_through(args: tuple[Any, ...], kwargs: dict[str, Any], way: str) -> None:
    with pytest.raises(NotPicklable) as caught:
        encode_call(prepare_function(print), args, kwargs)
    assert way in str(caught.value)
    assert str(caught.value).startswith("cannot send print: ")


def test_what_is_nested_too_deeply_is_no_crash() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    try:
        with pytest.raises(NotPicklable, match="nested too deeply"):
            encode_value(deep)
    finally:
        while deep:  # a list this deep is not freed by recursion either
            deep = deep[0]


# Versions.


def test_bytecode_of_another_python_is_refused_and_source_is_not() -> None:
    other = here()._replace(py="3.99")
    check_readable(other, None)
    with pytest.raises(PythonMismatch, match=r"`<lambda>` was sent as bytecode of Python 3\.99"):
        check_readable(other, "<lambda>")


def test_another_major_of_cloudpickle_is_refused_and_another_minor_is_not() -> None:
    check_readable(here()._replace(cloudpickle="3.99.0"), None)
    with pytest.raises(VersionMismatch, match="install cloudpickle 3"):
        check_readable(here()._replace(cloudpickle="9.0"), None)


def test_the_check_before_sending_says_what_to_do() -> None:
    client, worker = Versions("3.12", "0.2.0", "3.1.3"), Versions("3.11", "0.2.0", "3.1.1")
    check_sendable(None, worker, "python", client)
    with pytest.raises(PythonMismatch) as caught:
        check_sendable("<lambda>", worker, "python", client)
    assert str(caught.value) == (
        "this Python is 3.12, the workers of partition python run 3.11, and `<lambda>` is sent as bytecode, "
        "which does not pass between them. Put it into a module (its source is sent then), use Python 3.11 "
        "here, or name a partition whose workers run 3.12: armonikctl partition list"
    )
    with pytest.raises(VersionMismatch, match="install cloudpickle 2 here"):
        check_sendable(None, worker._replace(cloudpickle="2.2"), "python", client)


def test_a_call_of_another_python_is_refused_before_anything_is_unpickled() -> None:
    sent = encode_call(prepare_function(lambda: 1))
    import dataclasses

    header = dataclasses.replace(sent.header, versions=here()._replace(py="3.99"))
    envelope = Envelope(header, (memoryview(b"no pickle"), memoryview(b"none either")), "")
    with pytest.raises(PythonMismatch):
        decode_call(envelope, never)


def test_the_version_of_the_sdk_is_the_release() -> None:
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(__file__).parents[3] / "sdk/pyproject.toml").read_text())["project"]
    assert here().sdk == project["version"]


def test_workers_import_the_standard_library_and_cloudpickle_alone() -> None:
    """What import-linter cannot see: imports of imports."""
    code = (
        "import sys; before = set(sys.modules); import armonik_sdk.functions; "
        "names = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(*sorted(names - sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["armonik_sdk", "cloudpickle"]
