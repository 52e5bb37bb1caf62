"""Exceptions of functions: the original with its remote traceback, or an error that says what it was."""

import types
from concurrent.futures.process import _RemoteTraceback
from pathlib import Path
from typing import Any

import pytest

from armonik_sdk.functions import EnvelopeDamaged, RemoteError, decode_error, encode_error, encode_value, read
from armonik_sdk.functions.failures import MAX_FAILURE_BYTES, with_sources


class PickyError(Exception):
    """Cannot be rebuilt from its arguments."""

    def __init__(self, code: int, *, why: str) -> None:
        super().__init__(f"{code} {why}")


class HoldingError(Exception):
    def __init__(self, what: Any) -> None:
        super().__init__("holding")
        self.what = what


class MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def raised(error: BaseException) -> BaseException:
    try:
        raise error  # noqa: TRY301 - for its traceback
    except BaseException as caught:  # noqa: BLE001 - the test's own
        return caught


def through(error: BaseException, **options: Any) -> BaseException:
    return decode_error(read(bytes(encode_error(raised(error), **options))))


def test_the_original_exception_arrives_with_cause_and_notes() -> None:
    error = KeyError("x")
    error.add_note("of the user")
    got = through(error, notes=["square(x=17): element 17"])
    assert type(got) is KeyError
    assert got.args == ("x",)
    assert got.__notes__ == ["of the user", "square(x=17): element 17"]
    assert type(got.__cause__) is _RemoteTraceback
    assert "in raised" in str(got.__cause__)
    assert "KeyError: 'x'" in str(got.__cause__)


def test_frames_that_are_not_the_users_are_left_out() -> None:
    def inner() -> None:
        raise ValueError("x")

    try:
        inner()
    except ValueError as error:
        got = str(decode_error(read(bytes(encode_error(error, skip=1)))).__cause__)
    assert "in inner" in got
    assert "in test_frames" not in got


def test_source_lines_that_only_the_client_has_are_shown(tmp_path: Path) -> None:
    source = tmp_path / "here.py"
    source.write_text("def f():\n    raise ValueError(1)\n")
    text = (
        "Traceback (most recent call last):\n"
        f'  File "{source}", line 2, in f\n'
        '  File "/nowhere.py", line 3, in g\n'
        '  File "/there.py", line 4, in h\n'
        "    as_it_is_there()\n"
        "ValueError: 1\n"
    )
    shown = text.replace("in f\n", "in f\n    raise ValueError(1)\n")
    assert with_sources(text) == shown
    assert with_sources(shown) == shown


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), StopIteration(1), ExceptionGroup("g", [OSError(2, "no")])]
)
def test_all_kinds_of_exceptions_arrive(error: BaseException) -> None:
    got = through(error)
    assert type(got) is type(error)
    assert str(got) == str(error)


def test_one_that_cannot_be_rebuilt_is_a_remote_error_and_no_type_error() -> None:
    got = through(PickyError(7, why="because"), notes=["note"])
    assert isinstance(got, RemoteError)
    assert got.type_name.endswith("PickyError")
    assert got.text == "7 because"
    assert "PickyError" in got.traceback
    assert got.why.startswith("TypeError: ")
    assert got.__notes__ == ["note"]
    assert type(got.__cause__) is _RemoteTraceback


def test_one_that_cannot_be_pickled_is_a_remote_error() -> None:
    got = through(HoldingError(x for x in ()))
    assert isinstance(got, RemoteError)
    assert "generator" in got.why


def test_one_that_is_too_long_is_a_remote_error() -> None:
    packed = encode_error(raised(HoldingError("x" * 200_000)))
    assert packed.size <= MAX_FAILURE_BYTES
    got = decode_error(read(bytes(packed)))
    assert isinstance(got, RemoteError)
    assert "bytes" in got.why


@pytest.mark.parametrize("text", ["x" * 10**6, "\udcff", "\0" * 50_000, "ä" * 50_000])
def test_any_text_fits(text: str) -> None:
    packed = encode_error(raised(ValueError(text)), notes=[text] * 20)
    assert packed.size <= MAX_FAILURE_BYTES * 7  # JSON writes a control character as six
    assert isinstance(decode_error(read(bytes(packed))), ValueError | RemoteError)


def test_one_without_text_arrives() -> None:
    got = through(MuteError())
    assert type(got) is MuteError


def test_an_exception_of_a_module_that_is_not_here_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module = types.ModuleType("far_away")
    exec("class Lost(Exception): pass", vars(module))
    monkeypatch.setitem(sys.modules, "far_away", module)
    module.Lost.__module__ = "far_away"
    packed = bytes(encode_error(raised(module.Lost("x"))))
    monkeypatch.delitem(sys.modules, "far_away")
    got = decode_error(read(packed))
    assert isinstance(got, RemoteError)
    assert got.why == "module far_away is not here"
    assert str(got) == "far_away.Lost: x (it could not be rebuilt here: module far_away is not here)"


def test_a_value_is_no_error() -> None:
    with pytest.raises(EnvelopeDamaged, match="an error is expected, and the envelope holds a value"):
        decode_error(read(bytes(encode_value(1))))


def test_what_is_unpickled_to_something_else_is_a_remote_error() -> None:
    class LiarError(Exception):
        def __reduce__(self) -> Any:
            return int, ()

    got = through(LiarError("x"))
    assert isinstance(got, RemoteError)
    assert got.why == "its pickle gives int, no exception"
