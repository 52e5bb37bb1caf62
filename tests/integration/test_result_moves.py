"""Moves of many results: written together where they can be foreseen, and right where they cannot."""

import random
from collections.abc import Sequence
from typing import cast

import pytest
from nats.aio.client import Client

from armonik_operator.clients.kube import Kube
from armonik_operator.clients.servers import Clients
from armonik_operator.results.store import ResultName, ResultStore, Transition, aborting, completing, owning
from armonik_sdk.api.names import result_key
from armonik_sdk.api.records import DataRef
from armonik_sdk.api.results import ResultEntry, ResultState
from armonik_sdk.dataplane.errors import QueueUnavailable
from armonik_sdk.dataplane.s3.store import ObjectStore

pytestmark = pytest.mark.integration

NAMES = [ResultName("ns", "session", f"r{number}") for number in range(12)]
REF = DataRef.of_bytes(b"bytes")
Model = dict[ResultName, ResultEntry]


class Operator:
    """A book of results, what it notified of, and how many moves it wrote together."""

    def __init__(self, client: Client) -> None:
        self.servers = Clients(cast("Kube", None), client, cast("ObjectStore", None))
        self.told: set[ResultName] = set()
        self.book = ResultStore(self.servers, self.told.add)
        self.together: list[int] = []
        write, self.fails = self.servers.results.update_all, False

        async def update_all(changes: Sequence[tuple[str, ResultEntry, int]]) -> list[int]:
            revisions = await write(changes)
            self.together.append(len(changes))
            if self.fails:
                raise QueueUnavailable("the answer is lost")
            return revisions

        self.servers.results.update_all = update_all  # type: ignore[method-assign]


async def _standing(operator: Operator) -> Model:
    found = await operator.servers.results.get_many([result_key(*name) for name in NAMES])
    return {name: found[key] for name in NAMES if (key := result_key(*name)) in found}


async def test_many_are_handed_over_and_completed_in_two_writes(nats_client: Client) -> None:
    operator = Operator(nats_client)
    await operator.book.move_all([owning(name, "child", 3, "parent") for name in NAMES])
    assert operator.told == set(NAMES)
    stand = await operator.book.move_all([completing(name, "child", 3, REF, 5.0) for name in NAMES])
    assert operator.together == [len(NAMES), len(NAMES)]
    assert {entry.state for entry in stand.values() if entry} == {ResultState.COMPLETED}
    assert stand == await _standing(operator)


async def test_one_that_is_another_tasks_keeps_the_others_from_nothing(nats_client: Client) -> None:
    other, operator = Operator(nats_client), Operator(nats_client)
    await other.book.move(NAMES[0], owning(NAMES[0], "other", 0, "x").decide)
    stand = await operator.book.move_all([owning(name, "child", 3, "parent") for name in NAMES])
    assert operator.together == []
    owners = {name: entry.task for name, entry in stand.items() if entry}
    assert owners == dict.fromkeys(NAMES, "child") | {NAMES[0]: "other"}


async def test_a_lost_answer_changes_nothing_but_the_way(nats_client: Client) -> None:
    operator = Operator(nats_client)
    operator.fails = True
    moves = [owning(name, "child", 3, "parent") for name in NAMES]
    stand = await operator.book.move_all(moves)
    assert {entry.task for entry in stand.values() if entry} == {"child"}
    assert operator.told == set(NAMES)  # who waits is not left waiting
    assert stand == await _standing(operator)


async def test_the_same_result_twice_moves_once(nats_client: Client) -> None:
    operator = Operator(nats_client)
    moves = [*(owning(name, "child", 3, "parent") for name in NAMES), owning(NAMES[0], "late", 0, "x")]
    await operator.book.move_all(moves)
    assert {entry.task for entry in (await _standing(operator)).values()} == {"child"}


@pytest.mark.parametrize("seed", range(4))
async def test_two_operators_agree_with_the_pure_moves(nats_client: Client, seed: int) -> None:
    """Whatever each of them believes of what the other has written meanwhile."""
    chance = random.Random(seed)
    operators = [Operator(nats_client), Operator(nats_client)]
    model: Model = {}
    for _ in range(25):
        operator = chance.choice(operators)
        operator.told.clear()
        operator.fails = chance.random() < 0.2
        names = chance.sample(NAMES, chance.randint(1, len(NAMES)))
        moves = [_any_move(chance, name) for name in names]
        stand = await operator.book.move_all(moves)
        for move in moves:
            wanted = move.decide(model.get(move.name))
            if wanted is not None:
                model[move.name] = wanted
                assert move.name in operator.told
            assert stand[move.name] == model.get(move.name)
        assert await _standing(operator) == model


def _any_move(chance: random.Random, name: ResultName) -> Transition:
    task, index = chance.choice("ab"), chance.randint(0, 1)
    return chance.choice(
        [
            owning(name, task, index, chance.choice("ab")),
            owning(name, task, index, chance.choice("ab")),
            completing(name, task, index, REF, 1.0),
            aborting(name, task, index, "why"),
        ]
    )
