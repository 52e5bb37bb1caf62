"""Sessions that are gone while something of them is left."""

import pytest

from armonik_operator.cache import departed_sessions as module
from armonik_operator.cache.departed_sessions import Departed
from armonik_sdk.api.kinds import Session

NAME = ("ns", "s")


def session(uid: str) -> Session:
    meta = {"name": "s", "namespace": "ns", "uid": uid}
    return Session.from_object({"metadata": meta, "spec": {"partitions": ["p"]}})


def test_one_that_went_with_its_data_leaves_nothing() -> None:
    departed = Departed()
    departed.settle("u")
    departed.put(NAME, session("u"))
    assert departed.of(NAME) == []


def test_one_that_went_before_its_data_is_remembered_until_that_is_gone() -> None:
    departed = Departed()
    departed.put(NAME, session("u"))
    departed.put(("ns", "other"), session("v"))
    assert [each.metadata.uid for each in departed.of(NAME)] == ["u"]
    departed.settle("u")
    assert departed.of(NAME) == []


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    departed = Departed()
    for number in range(9):
        departed.put(NAME, session(str(number)))
    assert [each.metadata.uid for each in departed.of(NAME)] == ["6", "7", "8"]
