"""What kopf keeps of the objects that it watches."""

from typing import Any

import kopf

from armonik_operator.sources.apiserver import Unremembered, make_registry, tune

OBJECTS = 50


async def test_no_object_is_remembered() -> None:
    memories = Unremembered()
    for number in range(OBJECTS):
        body = {"metadata": {"uid": str(number)}}
        await memories.recall(body, memobase=kopf.Memo(), noticed_by_listing=True)
    assert not list(memories.iter_all_memories())


def test_an_object_that_was_handled_is_held_for_a_moment_only() -> None:
    settings = kopf.OperatorSettings()
    tune(settings)
    assert settings.queueing.idle_timeout < 1
    assert settings.watching.chunk_size is not None


def test_a_refused_watch_begins_anew_before_kopf_gives_up() -> None:
    """kopf ends after the last attempt of a watch that is refused (5xx), but not after its inactivity."""
    settings = kopf.OperatorSettings()
    tune(settings)
    backoffs = list(settings.networking.error_backoffs)  # type: ignore[arg-type]
    assert sum(backoffs) > settings.watching.inactivity_timeout
    assert sum(backoffs) >= sum(kopf.OperatorSettings().networking.error_backoffs)  # type: ignore[arg-type]
    assert max(backoffs) <= 5.0, "a watch would come back late"


async def test_an_object_that_changes_is_held_for_its_next_event_and_a_listed_one_is_not() -> None:
    registry, settings = make_registry(lambda *_: None), kopf.OperatorSettings()
    activities: dict[str, Any] = {str(one.id): one.fn for one in registry._activities.get_all_handlers()}
    await activities["make_registry.<locals>.startup"](settings=settings)
    watches: dict[str, Any] = {str(one.id): one.fn for one in registry._watching.get_all_handlers()}
    held: dict[str | None, float] = {}
    for event in (None, "ADDED", "MODIFIED", None):
        await watches["tasks"](event={"type": event, "object": {}})
        held[event] = settings.queueing.idle_timeout
    assert held[None] < 0.5 < held["ADDED"] == held["MODIFIED"] < 5.0


def test_kopf_looks_for_no_progress_of_handlers_in_objects() -> None:
    settings = kopf.OperatorSettings()
    tune(settings)
    essence = kopf.BodyEssence({"spec": {}})
    assert settings.persistence.progress_storage.clear(essence=essence) is essence
