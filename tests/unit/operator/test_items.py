"""Items of Tasks: the same whatever their number, read in parts, and little of them is kept."""

import asyncio
import json
import re
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.clients.servers import Clients
from armonik_operator.errors import ItemsUnread, Parked
from armonik_operator.items import item_cache as items_module
from armonik_operator.items import scan
from armonik_operator.items.item_cache import ItemCache, Listing
from armonik_operator.items.listing import depends, fit, output_names
from armonik_sdk.api.const import PARENT_LABEL, Reason
from armonik_sdk.api.errors import explain
from armonik_sdk.api.kinds import Item, ObjectRef, Task
from armonik_sdk.api.kinds.task import ONE_ENVIRONMENT, ONE_PARTITION
from armonik_sdk.api.messages import ManifestItem
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.dataplane.errors import ObjectMissing

KEY = "ns/s-uid/items"


class Store:
    """One object at most; notes how much of it was asked for at a time."""

    def __init__(self, raw: bytes | None = None) -> None:
        self.raw = raw
        self.largest = 0
        self.asked = False

    async def get(self, ref: ObjectRef) -> bytes:
        self.asked = True
        start = ref.offset or 0
        if not self.raw or start >= len(self.raw):
            raise ObjectMissing("NoSuchKey, or InvalidRange")
        found = self.raw[start : start + (ref.length or len(self.raw))]
        self.largest = max(self.largest, len(found))
        return found

    async def stat(self, key: str) -> int:
        self.asked = True
        if self.raw is None:
            raise ObjectMissing("NoSuchKey")
        return len(self.raw)


def items_in(store: Store) -> ItemCache:
    servers = object.__new__(Clients)
    servers.objects = cast("Any", store)
    return ItemCache(servers, lambda _: "s-uid")


def task(count: int, *, uid: str = "u", child: bool = False, **spec: Any) -> Task:
    meta: dict[str, Any] = {"name": "t", "namespace": "ns", "uid": uid, "generation": 1}
    if child:
        meta["labels"] = {PARENT_LABEL: "p"}
    listed = {"session": "s", "itemsRef": {"object": KEY, "count": count}}
    return Task.from_object({"metadata": meta, "spec": listed | spec})


async def read(items: ItemCache, of: Task) -> Listing:
    """As the worker does: it asks again until all is read."""
    while True:
        try:
            listing = await items.of(of)
        except ItemsUnread:
            continue
        assert listing is not None
        return listing


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Bounds so small that a few items are above them."""
    yield from _small(monkeypatch)


def _small(patch: pytest.MonkeyPatch) -> Iterator[None]:
    patch.setattr(scan, "READ_BYTES", 300)
    patch.setattr(scan, "STEP_BYTES", 700)
    patch.setattr(scan, "BLOCK_BYTES", 200)
    patch.setattr(scan, "BLOCK_LINES", 5)
    patch.setattr(scan, "MAX_LINE_BYTES", 2_000)
    patch.setattr(items_module, "CACHED_BYTES", 500)
    patch.setattr(items_module, "PARSED_BYTES", 8_000)
    yield


PAYLOADS = st.sampled_from(
    [None, {"inline": "x"}, {"inline": "long" * 20}, {"result": "r"}, {"object": {"key": "k"}}]
)
ITEM = st.fixed_dictionaries(
    {},
    optional={
        "payload": PAYLOADS.filter(bool),
        "dependsOn": st.lists(
            st.fixed_dictionaries({"task": st.just("a"), "index": st.integers(0, 5)}), max_size=2
        ),
        "outputs": st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=2, unique=True),
        "output_ids": st.lists(st.sampled_from(["o1", "o2"]), max_size=2),
    },
)
ENVIRONMENT = json.dumps({"options": {"environment": {"object": "o", "sha256": "0" * 64}}}).encode()
LINE = ITEM.map(lambda item: json.dumps(item).encode())
ODD = st.sampled_from([b"", b"{", b'{"payload": 7}', b'{"options": {"partition": "p"}}', ENVIRONMENT])
OUTPUTS = st.sampled_from([None, ["a"], ["b", "c"]])


@given(
    lines=st.lists(LINE | LINE | LINE | LINE | ODD, max_size=40),
    more=st.sampled_from([0, 0, 0, 1]),
    newline=st.sampled_from([b"\n", b"\r\n"]),
    last=st.booleans(),
    outputs=OUTPUTS,
)
def test_listings_say_what_reading_all_of_it_says(
    lines: list[bytes], more: int, newline: bytes, last: bool, outputs: list[str] | None
) -> None:
    raw = newline.join(lines) + (newline if lines and last else b"")
    spec = {"outputs": outputs} if outputs else {}
    of = task(max(1, len(raw.splitlines()) + more), **spec)
    with pytest.MonkeyPatch.context() as patch:
        for _ in _small(patch):
            asyncio.run(_compared(raw, of))


async def _compared(raw: bytes, of: Task) -> None:
    items = items_in(Store(raw))
    try:
        wanted = naive(raw, of)
    except Parked as parked:
        with pytest.raises(Parked, match=f"^{re.escape(str(parked))}$"):
            await read(items, of)
        return
    listing = await read(items, of)
    total = len(wanted)
    assert [item async for _, item in listing.each([(0, total)])] == wanted
    assert [await listing.item(index) for index in range(total)] == wanted
    assert {i for i, item in enumerate(wanted) if depends(item)} <= set(listing.dependent)
    for output in ("a", "b", "c", "result"):
        without = [
            (i, output_names(of, item))
            for i, item in enumerate(wanted)
            if output not in output_names(of, item)
        ]
        assert listing.lacking(output) == next(iter(without), None)
    owed = [(i, result) for i, item in enumerate(wanted) for result in item.output_ids or ()]
    assert [each async for each in items.owed(of, Ranges.of([(0, total)]))] == owed


def naive(raw: bytes, of: Task) -> list[ManifestItem]:
    """All at once, as a program would that has room for it."""
    lines = raw.splitlines()
    ref = of.spec.items_ref
    assert ref is not None
    found: list[ManifestItem] = []
    for number, line in enumerate(lines, start=1):
        found += parsed(line, number)
    if len(found) != ref.count:
        message = f"itemsRef.object {KEY} has {len(found)} lines, but itemsRef.count is {ref.count}"
        raise Parked(Reason.PAYLOAD_NOT_FOUND, f"{message}; upload an object with as many items")
    for number, item in enumerate(found, start=1):
        if item.options is not None and item.options.partition is not None:
            message = f"itemsRef.object {KEY}, line {number}: options.partition: {ONE_PARTITION}"
            raise Parked(Reason.PAYLOAD_NOT_FOUND, message)
        if item.options is not None and item.options.environment is not None:
            message = f"itemsRef.object {KEY}, line {number}: options.environment: {ONE_ENVIRONMENT}"
            raise Parked(Reason.PAYLOAD_NOT_FOUND, message)
    return found


def parsed(line: bytes, number: int) -> list[ManifestItem]:
    try:
        return [ManifestItem.model_validate_json(line)]
    except ValueError as error:
        message = f"itemsRef.object {KEY}, line {number}: {explain(error)};"
        raise Parked(
            Reason.PAYLOAD_NOT_FOUND, f"{message} upload an object with one item in JSON a line"
        ) from error


async def test_little_is_kept_of_many_items_and_others_get_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """100,000 items, each with a payload of its own: the usual way of the client."""
    monkeypatch.setattr(items_module, "CACHED_BYTES", 512 * 1024)
    monkeypatch.setattr(items_module, "PARSED_BYTES", 512 * 1024)
    count, digest = 100_000, "0" * 64
    line = b'{"payload":{"object":{"key":"ns/s/client/n-payloads","offset":%d,"length":7,"sha256":"%s"}}}\n'
    store = Store(b"".join(line % (7 * i, digest.encode()) for i in range(count)))
    items, of = items_in(store), task(count)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(others())
    tracemalloc.start()
    try:
        listing = await read(items, of)
        window = [item async for _, item in listing.each([(50_000, 50_500)])]
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        other.cancel()
    assert window[0].payload is not None
    assert window[0].payload.object is not None
    assert window[0].payload.object.offset == 7 * 50_000
    assert store.largest <= scan.READ_BYTES
    assert turns >= count / scan.SLICE
    assert peak / count < 80, "bytes for each item while it was read, cached blocks among them"
    cached = items_module.CACHED_BYTES + items_module.PARSED_BYTES
    assert (kept - cached) / count < 20, "bytes kept, with 500 items"


@pytest.mark.parametrize("bound", [10_000_000, 20_000])
async def test_items_are_parsed_once_while_there_is_room(monkeypatch: pytest.MonkeyPatch, bound: int) -> None:
    """As the check, the dependencies and the messages of a Task ask for them."""
    monkeypatch.setattr(items_module, "PARSED_BYTES", bound)
    count, lines = 1_500, 0
    parse = scan.parsed

    async def counted(of: Sequence[bytes], key: str, first: int) -> list[Item]:
        nonlocal lines
        lines += len(of)
        return await parse(of, key, first)

    monkeypatch.setattr(scan, "parsed", counted)
    monkeypatch.setattr(items_module, "parsed", counted)
    store = Store(b"".join(b'{"outputs":["o%d"]}\n' % index for index in range(count)))
    listing = await read(items_in(store), task(count))
    for _ in range(2):
        found = [item.outputs async for _, item in listing.each([(0, count)])]
        assert found == [[f"o{index}"] for index in range(count)]
    assert (await listing.item(777)).outputs == ["o777"]
    assert lines == count if bound > 1_000_000 else lines > 2 * count


async def test_what_is_parsed_is_dropped_with_an_object_that_was_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(items_module, "PARSED_BYTES", 600_000)  # of the two last blocks
    monkeypatch.setattr(items_module, "CACHED_BYTES", 0)
    store = Store(b"{}\n" * 1_000)
    listing = await read(items_in(store), task(1_000))
    store.raw = b'{"a":1}\n' * 900
    assert await listing.item(999) is not None
    for index in (0, 999):
        with pytest.raises(Parked, match=r"itemsRef.object ns/s-uid/items"):
            await listing.item(index)


async def test_a_long_object_does_not_hold_the_worker(small: None) -> None:
    items = items_in(Store(b"{}\n" * 1_000))
    unread = 0
    while True:
        try:
            await items.of(task(1_000))
            break
        except ItemsUnread:
            unread += 1
    assert unread == 3


async def test_two_who_ask_read_it_once(small: None) -> None:
    items = items_in(Store(b"{}\n" * 100))
    first, second = await asyncio.gather(read(items, task(100)), read(items, task(100)))
    assert first.dependent == second.dependent == Ranges()
    assert (await items.of(task(100))) in (first, second)


@pytest.mark.parametrize("where", [0, 7])
async def test_a_line_that_is_too_long_is_named(small: None, where: int) -> None:
    lines = [b"{}"] * where + [b'{"payload": {"inline": "' + b"x" * 9_000 + b'"}}', b"{}"]
    with pytest.raises(
        Parked, match=rf"line {where + 1}: the line has more than 2000 bytes; put its payload"
    ):
        await read(items_in(Store(b"\n".join(lines))), task(len(lines)))


async def test_an_object_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch, small: None) -> None:
    monkeypatch.setattr(scan, "MAX_ITEMS_OBJECT_BYTES", 1_000)
    with pytest.raises(Parked, match="has 1200 bytes, more than 1000; put long payloads into objects of"):
        await read(items_in(Store(b"{}\n" * 400)), task(400))


async def test_more_lines_than_elements_may_be_are_not_read_to_their_end(
    monkeypatch: pytest.MonkeyPatch, small: None
) -> None:
    monkeypatch.setattr(scan, "MAX_ELEMENTS", 100)
    with pytest.raises(Parked, match="has more than 100 lines; submit several tasks"):
        await read(items_in(Store(b"{}\n" * 1_000)), task(7))


async def test_what_is_not_there_and_what_is_empty_are_distinguished() -> None:
    with pytest.raises(
        Parked, match=r"itemsRef.object ns/s-uid/items does not exist in the store; upload it"
    ):
        await read(items_in(Store()), task(7))
    with pytest.raises(Parked, match=r"has 0 lines, but itemsRef.count is 7"):
        await read(items_in(Store(b"")), task(7))


async def test_what_is_corrected_is_read_again() -> None:
    store = Store(b"{}\n{\n")
    items = items_in(store)
    with pytest.raises(Parked, match="line 2"):
        await read(items, task(2))
    store.raw = b"{}\n{}\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(items_module, "REST_RATE", float("inf"))
        await asyncio.sleep(0)
        assert (await read(items, task(2))).owing == Ranges()


async def test_a_long_object_that_is_not_understood_is_not_read_again_at_once(small: None) -> None:
    store = Store(b"{}\n" * 1_000 + b"{\n")
    items, of = items_in(store), task(1_001)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(items_module, "REST_RATE", 1.0)
        with pytest.raises(Parked, match="line 1001"):
            await read(items, of)
        store.raw = None
        with pytest.raises(Parked, match="line 1001"):
            await read(items, of)
    items.forget("u")
    with pytest.raises(Parked, match="does not exist"):
        await read(items, of)


async def test_an_object_that_was_changed_is_not_taken_for_the_old_one(small: None) -> None:
    store = Store(b"{}\n" * 1_000)
    listing = await read(items_in(store), task(1_000))
    store.raw = b'{"a":1}\n' * 900
    with pytest.raises(Parked, match=r"itemsRef.object ns/s-uid/items"):
        await listing.item(3)


async def test_what_is_kept_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items_module, "KEPT_BYTES", 10_000)
    items = items_in(Store(b"{}\n" * 10))
    for number in range(50):
        await read(items, task(10, uid=str(number)))
    assert 0 < items._held.size <= 10_000
    assert len(items._kept) == items._held.size // 2_000 or len(items._kept) < 6
    for number in range(50):
        items.forget(str(number))
    assert items._held.size == 0


@given(st.lists(st.integers(1, 400), min_size=1, max_size=20), st.integers(1, 60))
def test_runs_that_fit_are_the_first_ones(lengths: list[int], gap: int) -> None:
    spans, at = [], 0
    for length in lengths:
        spans.append((at, at + length))
        at += length + gap
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("armonik_operator.items.listing.FIT_ITEMS", 700)
        fitting, whole = fit(spans)
    assert fitting == tuple(spans[: len(fitting)])
    assert whole == (len(fitting) == len(spans))
    assert fitting
    assert sum(end - start for start, end in fitting[1:]) <= 700


async def test_runs_of_long_items_are_made_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("armonik_operator.items.listing.FIT_BYTES", 1_000_000)
    line = json.dumps({"payload": {"inline": "x" * 30_000}}).encode() + b"\n"
    listing = await read(items_in(Store(line * 100)), task(100))
    ((start, end),), whole = listing.fit([(0, 100)])
    assert (start, whole) == (0, False)
    assert 0 < end * len(line) <= 1_000_000


def test_items_of_a_manifest_are_one_listing() -> None:
    given_task = Task.from_object(
        {
            "metadata": {"name": "t", "namespace": "ns", "uid": "u", "generation": 1},
            "spec": {"session": "s", "items": [{}, {"outputs": ["a"]}, {"dependsOn": [{"task": "a"}]}]},
        }
    )

    async def check() -> None:
        listing = await items_in(Store()).of(given_task)
        assert listing is not None
        assert listing.block(1) == (0, 3)
        assert set(listing.dependent) == {2}
        assert (await listing.item(1)).outputs == ["a"]
        assert listing.lacking("result") == (1, ["a"])
        assert (
            await items_in(Store()).of(
                given_task.model_copy(update={"spec": given_task.spec.model_copy(update={"items": None})})
            )
            is None
        )

    asyncio.run(check())


@pytest.mark.parametrize("key", ["items", "other/s-uid/items", "ns/s-uid/../x/items", "ns/other/items"])
async def test_an_object_that_is_not_the_sessions_is_not_asked_for(key: str) -> None:
    """Whether it exists makes no difference."""
    for raw in (None, b"{}\n" * 2):
        items = items_in(store := Store(raw))
        with pytest.raises(
            Parked, match=r"^PayloadNotFound: itemsRef.object: the object key '.*create it with"
        ):
            await read(items, task(2, itemsRef={"object": key, "count": 2}))
        assert not store.asked
