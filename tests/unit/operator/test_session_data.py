"""The data of a Session goes page by page, and what is marked for manual deletion stays."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from armonik_operator.clients.servers import Clients
from armonik_operator.gc import session_data
from armonik_operator.gc.session_data import remove_data
from armonik_sdk.api.names import upload_key
from armonik_sdk.api.records import DataRef
from armonik_sdk.api.results import ResultEntry, ResultState

PAGE = 7
PREFIX = "ns.uid.result."


class Results:
    """RESULTS; a purge by subject goes to the stream."""

    def __init__(self) -> None:
        self.entries: dict[str, ResultEntry] = {}
        self.runs: set[str] = set()
        self.most = 0

    async def key_parts(self, pattern: str, most: int) -> AsyncIterator[list[str]]:
        last = ""
        while True:
            there = sorted(k for k in (*self.entries, *self.runs) if k.startswith(pattern.rstrip(">")))
            part = [key for key in there if key > last][:most]
            if not part:
                return
            last = part[-1]
            yield part

    async def get_many(self, keys: Iterable[str]) -> dict[str, ResultEntry]:
        asked = list(keys)
        self.most = max(self.most, len(asked))
        return {key: self.entries[key] for key in asked if key in self.entries}

    async def delete(self, key: str) -> None:
        self.entries.pop(key, None)

    async def purge_stream(self, stream: str, subject: str) -> None:
        pattern = re.escape(subject.removeprefix("$KV.RESULTS.")).replace(">", ".*")
        for table in (self.entries, self.runs):
            for key in [key for key in table if re.fullmatch(pattern, key)]:
                table.pop(key) if isinstance(table, dict) else table.discard(key)


class Store:
    """Objects, listed a page at a time."""

    def __init__(self) -> None:
        self.keys: set[str] = set()

    async def delete_many(
        self, prefix: str, keep: Callable[[Sequence[str]], Awaitable[Collection[str]]] | None = None
    ) -> int:
        below = sorted(self.keys)
        for at in range(0, len(below), PAGE):
            part = below[at : at + PAGE]
            self.keys -= set(part) - set(await keep(part) if keep is not None else ())
        return len(below) - len(self.keys)


class World:
    def __init__(self, kept: int, others: int) -> None:
        self.results, self.store = Results(), Store()
        for number in range(kept + others):
            manual = number < kept
            key = upload_key("ns", "uid", f"r{number}", "nonce") if number else "ns/uid/elsewhere/0"
            state = ResultState.COMPLETED
            self.results.entries[f"{PREFIX}r{number}"] = ResultEntry(
                state=state, ref=DataRef(key=key), manual_deletion=manual
            )
            self.store.keys.add(key)
        self.results.entries[f"{PREFIX}open"] = ResultEntry(state=ResultState.CREATED, manual_deletion=True)
        self.results.runs |= {f"ns.uid.task-{number % 3}.{number}" for number in range(30)}
        self.store.keys |= {f"ns/uid/task-1/{number}" for number in range(30)}
        js = SimpleNamespace(purge_stream=self.results.purge_stream)
        client = SimpleNamespace(jetstream=lambda **_: js)
        servers = SimpleNamespace(client=client, results=self.results, objects=self.store)
        self.servers = cast("Clients", servers)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_data, "AT_ONCE", 3)

    async def purge(*_: object) -> None:
        """The queue holds nothing."""

    monkeypatch.setattr(session_data, "purge", purge)


async def test_a_purge_leaves_what_is_marked_and_its_objects() -> None:
    world = World(kept=12, others=25)
    await remove_data(world.servers, "ns", "uid", purging=True)
    assert set(world.results.entries) == {f"{PREFIX}r{number}" for number in range(12)}
    wanted = {entry.ref.key for entry in world.results.entries.values() if entry.ref is not None}
    assert world.store.keys == wanted, "also one that is not where our clients put it"
    assert not world.results.runs
    assert world.results.most <= PAGE, "no page is read at once with another"


@pytest.mark.parametrize(("kept", "purging"), [(0, True), (5, False)])
async def test_everything_goes_otherwise(kept: int, purging: bool) -> None:
    world = World(kept, others=25)
    await remove_data(world.servers, "ns", "uid", purging=purging)
    assert not [*world.results.entries, *world.results.runs, *world.store.keys]
