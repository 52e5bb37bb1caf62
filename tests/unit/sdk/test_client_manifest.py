import json
import tracemalloc
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_sdk.api.bounds import MAX_ITEMS, MAX_LINE_BYTES, MAX_RIDING_BYTES
from armonik_sdk.api.kinds import Dependency, Item, Task, TaskOptions
from armonik_sdk.api.kinds.options import Environment
from armonik_sdk.client.errors import Refused
from armonik_sdk.client.manifest import INLINE_ITEMS, PIECE_BYTES, Draft, Element, Plan, plan


def drafted(**fields) -> Plan:
    return plan(
        Draft(namespace="ns", session="demo", session_uid="s-uid", name="work", nonce="abc", **fields)
    )


def payload_of(planned: Plan, index: int) -> bytes:
    uploads = dict(planned.uploads) | {key: b"".join(pieces()) for key, pieces in planned.streams}
    spec = planned.task.spec
    if spec.items_ref is not None:
        lines = uploads[spec.items_ref.object].splitlines()
        payload = Item.model_validate_json(lines[index]).payload
    else:
        payload = spec.item(index).payload
    assert payload is not None
    content = payload.content()
    if content is not None:
        return content
    assert payload.object is not None
    start = payload.object.offset or 0
    return uploads[payload.object.key][start : start + (payload.object.length or 0)]


def sent(planned: Plan) -> list[bytes]:
    return [b"".join(pieces()) for _, pieces in planned.streams]


def test_a_plain_task_says_nothing_that_was_not_said() -> None:
    manifest = drafted(payload="7").task.to_object()
    assert manifest["spec"] == {"session": "demo", "sessionUid": "s-uid", "payload": {"inline": "7"}}
    assert Task.from_manifest(manifest).spec.total == 1


def test_what_was_said_is_in_the_manifest() -> None:
    spec = drafted(
        count=3,
        depends_on=[Dependency(task="before")],
        outputs=["left", "right"],
        options=TaskOptions(max_retries=0),
    ).task.to_object()["spec"]
    assert spec == {
        "session": "demo",
        "sessionUid": "s-uid",
        "count": 3,
        "dependsOn": [{"task": "before"}],
        "outputs": ["left", "right"],
        "options": {"maxRetries": 0},
    }


@pytest.mark.parametrize(("size", "uploads"), [(32 * 1024, 0), (32 * 1024 + 1, 1)])
def test_payloads_above_32_kib_are_uploaded(size: int, uploads: int) -> None:
    planned = drafted(payload=b"x" * size)
    assert len(planned.uploads) == uploads
    assert payload_of(planned, 0) == b"x" * size


def test_bytes_that_are_no_text_come_back_as_they_were() -> None:
    assert payload_of(drafted(payload=b"\xff\x00"), 0) == b"\xff\x00"


def test_items_that_do_not_fit_together_are_packed_into_one_object() -> None:
    items = [bytes([index]) * 20_000 for index in range(12)]
    planned = drafted(items=items)
    assert [key for key, _ in planned.uploads] == ["ns/s-uid/client/abc-payloads"]
    assert [payload_of(planned, index) for index in range(12)] == items
    assert len(json.dumps(planned.task.to_object()["spec"])) < 128 * 1024


def test_equal_payloads_are_stored_once() -> None:
    planned = drafted(items=[b"x" * 40_000] * 5)
    assert len(planned.uploads[0][1]) == 40_000


def test_more_items_than_the_apiserver_handles_well_are_listed_and_small_payloads_with_them() -> None:
    inline = drafted(items=[str(index) for index in range(INLINE_ITEMS)])
    assert (inline.task.spec.items_ref, inline.streams, inline.uploads) == (None, (), ())
    named = drafted(items=[Element(depends_on=[Dependency(task="before")])] * (INLINE_ITEMS + 1))
    assert named.task.spec.items_ref is None
    by_id = drafted(items=[Element(depends_on=[Dependency(result="r")])] * (INLINE_ITEMS + 1))
    assert by_id.task.spec.items_ref is not None
    small, riding = b"s" * MAX_RIDING_BYTES, INLINE_ITEMS + 1
    listed = drafted(items=[small] * riding)
    assert listed.task.spec.items_ref is not None
    assert [key for key, _ in listed.streams] == [listed.task.spec.items_ref.object]
    assert payload_of(listed, riding - 1) == small
    larger = drafted(items=[*[small] * riding, small + b"+"])
    assert [key for key, _ in larger.streams] == ["ns/s-uid/client/abc-payloads", "ns/s-uid/client/abc-items"]
    assert [payload_of(larger, at) for at in (0, riding)] == [small, small + b"+"]


@pytest.mark.parametrize("count", [INLINE_ITEMS, INLINE_ITEMS + 1, MAX_ITEMS + 1])
@pytest.mark.parametrize(
    "options",
    [
        TaskOptions(partition="p"),
        TaskOptions(environment=Environment(object="ns/s-uid/client/e", sha256="0" * 64)),
    ],
)
def test_options_that_are_the_tasks_alone_are_refused_of_any_number_of_items(
    count: int, options: TaskOptions
) -> None:
    with pytest.raises(
        Refused, match=rf"items\[{count - 1}\]\.options\.(partition|environment): all elements"
    ):
        sent(drafted(items=[*["x"] * (count - 1), Element(options=options)]))


def test_more_than_1000_items_are_listed_in_an_object() -> None:
    planned = drafted(items=[str(index) for index in range(2_500)])
    listed = planned.task.spec.items_ref
    assert listed is not None
    assert (listed.count, planned.task.spec.items) == (2_500, None)
    uploads = {key: b"".join(pieces()) for key, pieces in planned.streams}
    lines = uploads[listed.object].decode().splitlines()
    assert len(lines) == 2_500
    reference = Item.model_validate_json(lines[2_499]).payload
    assert reference is not None
    assert reference.object is not None
    start = reference.object.offset or 0
    assert uploads[reference.object.key][start : start + (reference.object.length or 0)] == b"2499"


def test_a_long_list_is_made_piece_by_piece_and_little_of_it_is_kept() -> None:
    class Many(Sequence[bytes]):
        """100,000 payloads that nobody holds."""

        def __len__(self) -> int:
            return 100_000

        def __getitem__(self, index: Any) -> Any:
            if index >= len(self):
                raise IndexError
            return b"payload %d" % index + b"." * 100

    tracemalloc.start()
    try:
        planned = drafted(items=Many())
        sizes = {key: [len(piece) for piece in pieces()] for key, pieces in planned.streams}
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert planned.uploads == ()
    assert [sum(each) > 10_000_000 for each in sizes.values()] == [True, True]
    assert max(map(max, sizes.values())) < 2 * PIECE_BYTES
    assert peak / len(Many()) < 200, "bytes an item; those that are remembered are most of it"


def test_an_item_of_a_long_list_that_is_wrong_is_refused_while_it_is_sent() -> None:
    wrong = Element(payload="1", outputs=["Not A Name"])
    planned = drafted(items=["1"] * 1_500 + [wrong])
    (_, pieces), _ = planned.streams
    with pytest.raises(Refused, match=r"outputs"):
        b"".join(pieces())


def test_an_element_has_its_own_options_and_dependencies() -> None:
    element = Element(
        payload="1", depends_on=[Dependency(result="r.0.x")], options=TaskOptions(priority=9), outputs=["out"]
    )
    item = drafted(items=[element, "2"]).task.to_object()["spec"]["items"][0]
    assert item == {
        "payload": {"inline": "1"},
        "dependsOn": [{"result": "r.0.x"}],
        "options": {"priority": 9},
        "outputs": ["out"],
    }


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"count": 0}, "spec.count"),
        ({"items": []}, "items"),
        ({"count": 2, "items": ["1"]}, "at most one of count, items, itemsRef"),
        ({"outputs": ["a", "a"]}, "spec.outputs"),
        ({"depends_on": [Dependency(task="work")]}, "depend on itself"),
    ],
)
def test_what_the_api_would_refuse_is_refused_before_anything_is_sent(fields, field: str) -> None:
    with pytest.raises(Refused, match=field):
        drafted(**fields)


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=40), st.integers(0, 3))
def test_every_element_gets_its_own_bytes(items: list[bytes], blow_up: int) -> None:
    blown = [item * 10 ** (blow_up + 1) for item in items]
    planned = drafted(items=blown)
    assert [payload_of(planned, index) for index in range(len(blown))] == blown


def test_an_item_that_is_too_long_for_a_line_is_refused_with_its_number() -> None:
    long = TaskOptions(options={f"o{number}": "😀" * 4_096 for number in range(64)})
    items = [Element(), Element(options=long), *[Element()] * 1_000]
    ((_, lines),) = drafted(items=items).streams
    with pytest.raises(
        Refused, match=rf"items\[1\]: it takes [0-9]+ bytes as a line, more than {MAX_LINE_BYTES}"
    ):
        list(lines())
