"""Whatever the apiserver stores is explained: no shape and no text of an object ends in an error."""

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from armonik_sdk.api.const import ConditionType, Reason
from armonik_sdk.api.errors import InvalidManifest
from armonik_sdk.api.kinds import Partition, Session, Task
from armonik_sdk.explain import Facts, explain, needs
from armonik_sdk.explain.facts import Pod, partition_of
from structural import objects_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MODELS: dict[str, type[Task | Session | Partition]] = {
    "tasks": Task,
    "sessions": Session,
    "partitions": Partition,
}
TEXTS = [
    "",
    "\x1b[2J\x1b]0;title\x07",
    "\x00\u202e\u2028",
    "\ud800",
    "²" * 9,
    "9" * 1_000,
    "task a " * 140,
    "element 0 ended as Error: " * 40,
    f"1 element waits until 2026-01-01T00:00:00Z: x (of element 1 {'9' * 900} failed, the last: y)",
    f"{'9' * 900} elements wait until 2026-01-01T00:00:00Z: x",
    "12 elements wait until 9999-99-99T99:99:99Z: x (of element 1 2 failed, the last: y)",
    f"1 element waits, {'9' * 900} of other tasks before them; 1 of 2 pods work",
    "1 element waits, 3 of other tasks before them; ² of 2 pods work",
]
"""What no operator writes, and whoever may write statuses can."""
HOSTILE = st.one_of(st.text(max_size=60), st.sampled_from(TEXTS))
CONDITION = st.fixed_dictionaries(
    {
        "type": st.sampled_from([str(one) for one in ConditionType]) | st.text(min_size=1, max_size=9),
        "status": st.sampled_from(["True", "False", "Unknown"]),
        "reason": st.sampled_from([str(one) for one in Reason]) | HOSTILE.filter(bool),
        "message": HOSTILE,
        "lastTransitionTime": st.just("2026-01-01T00:00:00Z"),
    }
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | HOSTILE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def model(plural: str, obj: dict[str, Any], conditions: list[Any]) -> Task | Session | Partition | None:
    status = obj.get("status")
    if isinstance(status, dict) and conditions:
        obj = {**obj, "status": {**status, "conditions": conditions}}
    try:
        return MODELS[plural].from_object(obj)
    except InvalidManifest:
        return None


@pytest.mark.parametrize("reason", [str(one) for one in Reason] + ["Unheard"])
def test_every_reason_is_explained_whatever_its_text_is(reason: str) -> None:
    for text, type_, status in itertools.product(TEXTS, ("Ready", "Waiting", "Finished"), ("True", "False")):
        condition = {"type": type_, "status": status, "reason": reason, "message": text}
        condition["lastTransitionTime"] = "2026-01-01T00:00:00Z"
        obj = {
            "apiVersion": "armonik.io/v1alpha1",
            "kind": "Task",
            "metadata": {"name": "a", "namespace": "n", "uid": "u"},
            "spec": {"session": "s", "count": 3},
            "status": {"options": {"maxRetries": 3}, "elements": {"total": 3, "pending": 3}},
        }
        subject = model("tasks", obj, [condition])
        assert subject is not None
        found = explain(Facts(subject, NOW))
        assert "\x1b" not in found.text
        found.model_dump_json(by_alias=True).encode()


@pytest.mark.parametrize("plural", MODELS)
@given(data=st.data())
@settings(max_examples=60)
def test_every_object_of_the_schema_is_explained(plural: str, data: st.DataObject) -> None:
    conditions = data.draw(st.lists(CONDITION, max_size=3))
    subject = model(plural, data.draw(objects_of(plural)), conditions)
    if subject is None:
        return
    index = data.draw(st.none() | st.integers(0, 3)) if isinstance(subject, Task) else None
    more: dict[str, Any] = {}
    if isinstance(subject, Task):
        partition_of(subject, None)
        named = [need.task for need in needs(subject, index) if need.task]
        other = model("tasks", data.draw(objects_of("tasks")), data.draw(st.lists(CONDITION, max_size=2)))
        if isinstance(other, Task):
            more["tasks"] = {name: Facts(other, NOW) for name in named[:1]}
        more["missing"] = frozenset(named[1:2])
    found = explain(Facts(subject, NOW, index, unread=[data.draw(HOSTILE)], **more))
    assert found.text
    assert found.gist is not None
    assert "\x1b" not in found.text
    found.model_dump_json(by_alias=True).encode()


@given(obj=st.dictionaries(st.sampled_from(["metadata", "status"]), ANYTHING), events=st.lists(ANYTHING))
@settings(max_examples=60)
def test_every_pod_is_read(obj: dict[str, Any], events: list[Any]) -> None:
    pod = Pod.of(obj, events)
    partition = Partition.from_object(
        {
            "apiVersion": "armonik.io/v1alpha1",
            "kind": "Partition",
            "metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {"podMax": 1, "template": {"spec": {"worker": {"image": "w"}}}},
            "status": {"replicas": 1},
        }
    )
    assert explain(Facts(partition, NOW, partition=partition, pods=[pod])).text
