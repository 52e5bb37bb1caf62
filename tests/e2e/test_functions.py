"""The worker of functions on the real cluster: values, exceptions, and what its Partition says of it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from release import apply, fresh_namespace, lab_partition, objects, session, until

from armonik_sdk import aio
from armonik_sdk.client import Client, Element
from armonik_sdk.functions import (
    Needs,
    decode_error,
    decode_value,
    encode_call,
    prepare_function,
    read,
    reduce_need,
)

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    with fresh_namespace("functions", wait=False) as name:
        apply(functions_partition(name, "python"))
        apply(session(name, "work", "python"))
        yield name


def functions_partition(namespace: str, name: str) -> dict[str, Any]:
    partition = lab_partition(namespace, name)
    worker = partition["spec"]["template"]["spec"]["worker"]
    worker["image"] = worker["image"].replace("worker-lab", "worker-python")
    return partition


class Ref:
    """A result, as clients have it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> Any:
        return reduce_need(self, self.name)


def _worker_of(namespace: str) -> dict[str, str]:
    (partition,) = objects("partitions.armonik.io", "--namespace", namespace)
    worker: dict[str, str] = partition["status"].get("worker", {})
    return worker


def call(fn: Callable[..., Any], *args: Any) -> bytes:
    return bytes(encode_call(prepare_function(fn), args, needs=Needs()))


async def test_functions_are_executed_and_the_partition_says_what_runs_them(namespace: str) -> None:
    """By reference, so that any Python of this machine will do."""
    async with await Client.connect(namespace) as client:
        work = await client.session("work")
        handle = await work.submit(items=[Element(call(abs, -number)) for number in range(50)])
        found = {index: data async for index, data in handle.results(timeout=240)}
        assert {index: decode_value(read(data)) for index, data in found.items()} == {n: n for n in range(50)}
    until("the Partition says what its workers are", lambda: bool(_worker_of(namespace)))
    worker = _worker_of(namespace)
    assert worker["kind"] == "functions"
    assert worker["python"].startswith("3.")
    assert worker["cloudpickle"]


async def test_a_value_of_one_function_is_an_argument_of_another(namespace: str) -> None:
    async with await Client.connect(namespace) as client:
        work = await client.session("work")
        first = await work.submit(call(divmod, 17, 5))
        second = await work.submit(call(sum, Ref("first")), depends_on=[first.output()])
        assert decode_value(read(await second.result(timeout=240))) == 5


async def test_an_exception_is_read_as_the_output_error(namespace: str) -> None:
    async with await Client.connect(namespace) as client:
        work = await client.session("work")
        handle = await work.submit(call(int, "seven"))
        await handle.wait(timeout=240)
        error = decode_error(read(await handle.output(0, "error").result(timeout=60)))
    assert type(error) is ValueError
    assert "'seven'" in str(error)
    assert f"element 0 of task {handle.name}" in error.__notes__[0]


async def test_the_first_session_with_packages_makes_a_pod_start(
    namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = functions_partition(namespace, "first")
    partition["spec"]["podReserved"] = 0
    apply(partition)
    uv = tmp_path / "uv"  # what it would install from is not there in every place that this runs in
    uv.write_text("#!/bin/sh\nwhile [ $1 != --target ]; do shift; done\necho A = 1 > $2/of_a_package.py\n")
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    async with await aio.connect(namespace) as client:
        opened = await client.session(partitions=["first"], packages=["any"], on_exit="cancel")
        async with opened as work:
            found = await work.submit(importlib.util.find_spec, "of_a_package")
            assert found is not None
            assert found.name == "of_a_package"
