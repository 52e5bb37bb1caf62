"""A worker of our own library on the real cluster: whole runs, and elements that misbehave in them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from observe import Observer
from release import Object, apply, finished, fresh_namespace, kubectl, lab_partition, objects, session, task

from armonik_sdk.api.records import RecordKind
from armonik_sdk.client import Client, ResultAborted, TaskOptions

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    with fresh_namespace("own-worker", wait=False) as name:
        partition = lab_partition(name, "own", pods=2)
        worker = partition["spec"]["template"]["spec"]["worker"]
        worker["image"] = worker["image"].replace("worker-lab", "worker-lab-own")
        apply(partition)
        apply(session(name, "work", "own"))
        yield name


def submit(
    namespace: str, name: str, count: int, options: dict[str, Any] | None = None, **words: str
) -> None:
    """A Task of many elements with one payload; words are the function's."""
    made = (options or {}) | {"options": words}
    apply(task(namespace, name, "work", count=count, payload={"inline": "same"}, options=made))


def pods(namespace: str) -> dict[str, int]:
    """UIDs of the pods, with how often their containers began again."""
    found: list[Object] = objects("pods", "--namespace", namespace, "--selector", "armonik.io/partition=own")
    return {
        pod["metadata"]["uid"]: sum(
            status["restartCount"]
            for kind in ("containerStatuses", "initContainerStatuses")
            for status in pod["status"].get(kind, [])
        )
        for pod in found
    }


async def test_every_result_of_two_thousand_elements_is_right(namespace: str) -> None:
    async with await Client.connect(namespace) as client:
        work = await client.session("work")
        handle = await work.submit(b"same", count=2000)
        found = {index: data async for index, data in handle.results(timeout=240)}
    assert found == {index: f"{index}: same".encode() for index in range(2000)}


async def test_a_run_that_turns_out_long_is_shared_between_the_pods(namespace: str) -> None:
    """Its first elements are quick, as all of the Session were; nobody can know that the last are not."""
    async with await Client.connect(namespace) as client:
        work = await client.session("work")
        await (await work.submit(b"quick", count=200)).wait(240)
        options = TaskOptions(options={"slow": "30"})
        handle = await work.submit(b"same", count=42, options=options)
        found = {index: data async for index, data in handle.results(timeout=240)}
    assert found == {index: f"{index}: same".encode() for index in range(42)}
    entries = await asyncio.to_thread(Observer(namespace).records, handle.uid)
    slow = [entry.record for entry in entries if entry.record.end > 30]
    assert RecordKind.SPLIT in {record.kind for record in slow}
    assert len({record.owner.pod for record in slow if record.owner is not None}) == 2


@pytest.mark.parametrize(
    ("how", "counts"),
    [
        ("kill", {"succeeded": 200}),
        ("raise", {"succeeded": 200}),
        ("abort", {"succeeded": 199, "failed": 1}),
        ("sleep", {"succeeded": 199, "timedOut": 1}),
    ],
)
def test_an_element_that_misbehaves_harms_no_other_and_no_pod(
    namespace: str, how: str, counts: dict[str, int]
) -> None:
    submit(namespace, f"one-{how}", 1)
    finished(namespace, f"one-{how}")
    before = pods(namespace)
    submit(namespace, how, 200, {"maxDurationSeconds": 2}, index="150", how=how)
    ended = finished(namespace, how)
    told = {
        name: number for name, number in ended["status"]["elements"].items() if number and name != "total"
    }
    assert told == counts
    assert pods(namespace) == before
    uid = ended["metadata"]["uid"]
    logs = kubectl(
        "logs", "--namespace", namespace, "--selector", "armonik.io/partition=own", "--container", "worker",
        "--tail=-1",
    )  # fmt: skip
    assert f"[{uid}.150] about to {how}" in logs


async def test_a_function_submits_sub_tasks_and_hands_its_output_to_one(namespace: str) -> None:
    async with await Client.connect(namespace) as client:
        work = await client.session("work")
        parent = await work.submit(b"1 2 3", options=TaskOptions(options={"mode": "squares"}))
        after = await work.submit(b"", depends_on=[parent], options=TaskOptions(options={"mode": "sum"}))
        assert await parent.result(timeout=120) == b"14"
        assert await after.result(timeout=120) == b"14"
    children = objects("tasks", "--namespace", namespace, "--selector", f"armonik.io/parent={parent.uid}")
    assert [child["status"]["elements"]["succeeded"] for child in children] == [4]


async def test_sub_tasks_of_a_function_that_fails_never_exist(namespace: str) -> None:
    async with await Client.connect(namespace) as client:
        work = await client.session("work")
        parent = await work.submit(b"1 2 3", options=TaskOptions(options={"mode": "unkept"}))
        with pytest.raises(ResultAborted, match="as requested"):
            await parent.result(timeout=120)
        await parent.wait(120)
    assert objects("tasks", "--namespace", namespace, "--selector", f"armonik.io/parent={parent.uid}") == []
