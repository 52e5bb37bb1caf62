"""Elements of one call on executors that die when they like: each ends once, and only the guilty pay."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from armonik_sdk.worker.executor.transcript import Transcript
from armonik_sdk.worker.run_scheduler import Ended, Running


class Executor:
    """What `Running` needs of a child; executes when asked to."""

    def __init__(self, fates: dict[int, str]) -> None:
        self.fates = fates
        self.todo: deque[int] = deque()
        self.skip: set[int] = set()
        self.dead = False
        self.transcript = Transcript()
        self.on_ended: Callable[[list[Ended]], None] | None = None
        self.on_death: Callable[[str], None] | None = None

    def send(self, head: dict[str, Any], blobs: list[memoryview]) -> None:
        self.todo += [entry["index"] for entry in head.get("elements", ())]
        self.skip |= set(head.get("skip", ())) & set(self.todo)

    def look(self) -> None:
        """It has said all it had to say."""

    def kill(self) -> None:
        self.dead = True

    def step(self) -> None:
        """Execute one element, or die."""
        if self.dead:
            self._die()
        elif self.todo:
            index = self.todo[0]
            if index not in self.skip and self.fates.get(index) == "die":
                self._die()
            elif index in self.skip or self.fates.get(index) != "hang":
                self.transcript.add(None, f"t.{index}".encode(), f"{index} prints\n".encode())
                self.todo.popleft()
                how = {"skipped": True} if index in self.skip else {"outputs": {}}
                assert self.on_ended is not None
                self.on_ended([({"ended": [{"index": index, **how}]}, [])])

    def _die(self) -> None:
        self.dead = True
        died, self.on_death = self.on_death, None
        if died is not None:
            died("was killed")


class Executors:
    """Fresh ones for `Running`."""

    def __init__(self, fates: dict[int, str]) -> None:
        self.fates, self.made = fates, list[Executor]()

    async def take(self, environment: str = "") -> Any:
        self.made.append(Executor(self.fates))
        return self.made[-1]

    def catch_up(self, transcript: Transcript) -> None:
        """Everything is in it already."""

    def give_back(self, child: Executor) -> None:
        assert not child.todo

    def discard(self, child: Executor) -> None:
        child.on_death = None


@given(
    st.lists(st.sampled_from(["ok", "ok", "ok", "die", "hang"]), min_size=1, max_size=12),
    st.integers(1, 5),
    st.integers(0, 6),
)
def test_each_element_ends_once_and_only_its_own_fate_decides_how(
    fates: list[str], size: int, stop_after: int
) -> None:
    """What hangs is stopped after a while; nothing else is charged for it, or for what dies."""

    async def play() -> tuple[list[dict[str, Any]], int]:
        executors = Executors(dict(enumerate(fates)))
        running = Running(executors)  # type: ignore[arg-type]  # what it needs of them is there
        for at in range(0, len(fates), size):
            entries = [{"index": index} for index in range(at, min(at + size, len(fates)))]
            running.give({"elements": entries, "limit": 3600}, [])
        ended: list[dict[str, Any]] = []
        steps = 0
        while running.left or not ended:
            await asyncio.sleep(0)
            if executors.made:
                executors.made[-1].step()
            steps += 1
            if steps > stop_after:
                running.give({"stop": [index for index, fate in enumerate(fates) if fate == "hang"]}, [])
            assert steps < 1000
            if not running.left or steps % 3 == 0:
                running.wake()
                ended += [entry for entry, _ in await running.ended()]
        running.close()
        return ended, len(executors.made)

    ended, made = asyncio.run(play())
    assert sorted(entry["index"] for entry in ended) == list(range(len(fates)))
    for entry in ended:
        word = {"ok": "outputs", "die": "failed", "hang": "skipped"}[fates[entry["index"]]]
        assert word in entry
    assert made <= 1 + sum(fate != "ok" for fate in fates)


async def test_an_end_brings_what_the_element_printed_if_that_is_asked_for() -> None:
    for printed in ({"printed": 1024}, {}):
        executors = Executors({1: "die"})
        running = Running(executors)  # type: ignore[arg-type]  # what it needs of them is there
        entries = [{"index": index, "id": f"t.{index}"} for index in range(3)]
        running.give({"elements": entries, "limit": 3600, **printed}, [])
        said: dict[int, str | None] = {}
        while len(said) < 3:
            await asyncio.sleep(0)
            if executors.made:
                executors.made[-1].transcript.add(None, b"t.1", b"last words\n")
                executors.made[-1].step()
            running.wake()
            for entry, blobs in await running.ended():
                at = entry.get("printed")
                said[entry["index"]] = None if at is None else bytes(blobs[at]).decode()
        running.close()
        texts = {0: "0 prints\n", 1: "last words\n" * 2, 2: "2 prints\n"}
        assert said == (texts if printed else dict.fromkeys(range(3)))
