"""Where the data of an element is kept until it is committed."""

import asyncio
import base64
from typing import Any

import pytest

from armonik_agent.context import TextOutage
from armonik_agent.journal.packing import FinishedElement, Kept, pack
from armonik_sdk.api.bounds import MAX_HELD_BYTES, MAX_PACKED_BYTES
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.records import Outcome, OutcomeKind, Piece
from armonik_sdk.dataplane.errors import StoreUnavailable


class Store:
    """Keeps what is put."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.down = False

    async def put(self, key: str, data: Any) -> ObjectRef:
        """Keep it."""
        if self.down:
            raise StoreUnavailable("it is down")
        self.objects[key] = data
        return ObjectRef(key=key, length=len(data))

    def read(self, key: str, offset: int, length: int) -> bytes:
        """A part of an object."""
        return self.objects[key][offset : offset + length]


@pytest.fixture
def store() -> Any:
    return Store()


async def test_small_data_goes_up_once_there_is_much_of_it(store: Any) -> None:
    kept = Kept(store, "p")
    given = {f"r{number}": bytes([number % 256]) * MAX_PACKED_BYTES for number in range(150)}
    for name, data in given.items():
        await kept.add(name, data)
        held = sum(len(one) for one in kept.data.values() if isinstance(one, bytes))
        assert held <= MAX_HELD_BYTES
    assert len(store.objects) == 150 * MAX_PACKED_BYTES // MAX_HELD_BYTES
    ended = FinishedElement(0, OutcomeKind.COMPLETED, 1, 0.0, made=kept.data)
    change = await pack(store, "p/pack", [ended], room=0, single=False, outage=TextOutage())
    (outcome,) = change.outcomes
    for name, data in given.items():
        piece = outcome.made[name]
        assert piece.object is not None
        assert store.read(change.objects[piece.object], piece.offset, piece.length) == data


def printing(index: int, output: bytes, text: bytes) -> FinishedElement:
    """An element with one output that printed something."""
    return FinishedElement(index, OutcomeKind.COMPLETED, 1, 0.0, outputs={"result": output}, printed=text)


def text_of(store: Store, objects: tuple[str, ...], piece: Piece | None) -> bytes:
    """The bytes of a piece."""
    assert piece is not None
    if piece.object is None:
        return base64.b64decode(piece.inline or "")
    return store.read(objects[piece.object], piece.offset, piece.length)


@pytest.mark.parametrize(
    ("output", "text", "objects", "outputs_ride"),
    [(10, 10, 0, True), (10, 4_000, 1, True), (4_000, 10, 1, False), (4_000, 4_000, 1, False)],
)
async def test_what_elements_print_needs_no_object_where_it_is_short_and_never_a_second_one(
    store: Any, output: int, text: int, objects: int, outputs_ride: bool
) -> None:
    ended = [printing(index, bytes([index]) * output, b"%d" % index * text) for index in range(3)]
    change = await pack(store, "p/pack", ended, room=4_096, single=False, outage=TextOutage())
    assert len(store.objects) == objects
    for given, outcome in zip(ended, change.outcomes, strict=True):
        assert text_of(store, change.objects, outcome.printed) == given.printed
        result = outcome.outputs["result"]
        assert text_of(store, change.objects, result) == given.outputs["result"]
        assert (result.object is None) == outputs_ride


async def test_an_element_that_prints_nothing_costs_nothing(store: Any) -> None:
    change = await pack(
        store, "p/pack", [printing(0, b"x", b"")], room=4_096, single=False, outage=TextOutage()
    )
    assert b"printed" not in change.outcomes[0].encode()


async def test_a_text_that_the_store_does_not_take_costs_no_output(store: Any) -> None:
    store.down = True
    change = await pack(
        store, "p/pack", [printing(0, b"x", b"long" * 4_096)], room=4_096, single=False, outage=TextOutage()
    )
    (outcome,) = change.outcomes
    assert outcome.printed is None
    assert text_of(store, change.objects, outcome.outputs["result"]) == b"x"
    with pytest.raises(StoreUnavailable):
        await pack(
            store,
            "p/pack",
            [printing(0, b"x" * 5_000, b"short")],
            room=4_096,
            single=False,
            outage=TextOutage(),
        )


async def test_whoever_moves_an_outcome_moves_its_text(store: Any) -> None:
    change = await pack(
        store, "p/pack", [printing(0, b"x", b"long" * 4_096)], room=4_096, single=False, outage=TextOutage()
    )
    moved = change.outcomes[0].moved(lambda place: place + 7)
    assert moved.printed is not None
    assert moved.printed.object == 7
    assert moved.printed in moved.pieces
    assert Outcome.model_validate_json(moved.encode()) == moved


class Silent(Store):
    """Accepts requests and does not answer them."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def put(self, key: str, data: Any) -> ObjectRef:
        """Nobody answers."""
        self.asked += 1
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_store_that_is_silent_holds_up_no_commit_for_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("armonik_agent.journal.packing.TEXT_SECONDS", 0.0)
    store: Any = Silent()
    outage, text = TextOutage(), b"long" * 4_096
    for _ in range(3):
        change = await pack(
            store, "p/pack", [printing(0, b"x", text)], room=4_096, single=False, outage=outage
        )
        assert change.outcomes[0].printed is None
        assert change.outcomes[0].outputs["result"].inline is not None
    assert store.asked == 1, "it is not asked again at each commit"
    again: Any = Store()
    ended = [printing(0, b"x" * 5_000, text)]
    change = await pack(again, "p/pack", ended, room=4_096, single=False, outage=outage)
    assert text_of(again, change.objects, change.outcomes[0].printed) == text, "outputs need the object"
    monkeypatch.setattr("armonik_agent.context.TEXT_PAUSE", 0.0)
    outage.begin()
    change = await pack(again, "p/pack", [printing(0, b"x", text)], room=4_096, single=False, outage=outage)
    assert change.outcomes[0].printed is not None
