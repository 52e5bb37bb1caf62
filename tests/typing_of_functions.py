"""What type checkers know of functions on the grid; `test_types` runs mypy on this file, nobody runs it."""

from collections.abc import Iterator
from typing import assert_type

import armonik_sdk as ak
import armonik_sdk.aio as aio


def square(x: int) -> int:
    return x * x


@ak.task
def name_of(x: int, *, upper: bool = False) -> str:
    return str(x) if upper else ""


@ak.task(timeout=3)
def length(x: str) -> int:
    return len(x)


def blocking(session: ak.Session) -> None:
    assert_type(session.submit(square, 3), ak.Future[int])
    assert_type(session.submit(square, session.submit(square, 3)).result(), int)
    assert_type(session.map(square, range(3)), ak.MapResult[int])
    assert_type(list(session.map(square, range(3))), list[int])
    assert_type(session.map(square, range(3))[0], int)
    assert_type(session.map(square, range(3))[1:], ak.MapResult[int])
    assert_type(session.put({"a": 1}), ak.Ref[dict[str, int]])
    assert_type(session.put("x").get(), str)
    assert_type(iter(session.map(square, range(3))), Iterator[int])
    assert_type(name_of(3, upper=True), str)
    assert_type(name_of.submit(3), ak.Future[str])
    assert_type(length.map(["a"]), ak.MapResult[int])
    assert_type(session.submit(name_of, 3), ak.Future[str])
    name_of("x")  # type: ignore[arg-type]
    name_of(3, lower=True)  # type: ignore[call-arg]


async def asynchronous(session: aio.Session) -> None:
    assert_type(await session.submit(square, 3), int)
    assert_type(await session.map(square, range(3)).results(), list[int])
    assert_type([x async for x in session.map(square, range(3))], list[int])
    assert_type(await (await session.put("x")).get(), str)
