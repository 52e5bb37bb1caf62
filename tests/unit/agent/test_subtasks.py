"""Sub-tasks as a worker of whole runs tells of them: what follows, and what is no such thing."""

from typing import Any

import pytest

from armonik_agent.elements import Element, Elements
from armonik_agent.subtasks import read
from armonik_sdk.api.kinds import TaskOptions
from armonik_sdk.api.messages import RunMessage

IDS = {"result": "task.0.result"}


def parent() -> Element:
    message = RunMessage(
        namespace="ns",
        session="session",
        task="task",
        partition="p",
        start=0,
        end=1,
        n=1,
        dependencies=("given",),
        options=TaskOptions(partition="p", max_retries=5, options={"colour": "red"}),
    )
    return Elements(message).of(0)


def test_children_inherit_options_and_name_each_other_by_new_ids() -> None:
    blobs = [memoryview(b"one"), memoryview(b"\xff" * 40_000)]
    entries: list[dict[str, Any]] = [
        {"payload": 0},
        {"payload": 1, "options": {"size": "2"}, "partition": "q", "priority": 4},
        {"payload": "file"},
        {"payload": 0, "needs": [0, 2, "given"], "output": "result"},
    ]
    told = read(entries, parent(), IDS, blobs)
    one, long, file, last = told.items
    assert one.payload is not None
    assert one.payload.content() == b"one"
    assert last.payload == one.payload
    assert [list(told.made.values()), list(told.files.values())] == [[b"\xff" * 40_000], ["file"]]
    assert long.payload is not None
    assert file.payload is not None
    assert [long.payload.result, file.payload.result] == [*told.made, *told.files]
    made = [(item.output_ids or [""])[0] for item in told.items]
    assert len(set(made)) == 4
    assert made[3] == "task.0.result"
    assert told.handed_over == {"task.0.result"}
    assert [needed.result for needed in last.depends_on or ()] == [made[0], made[2], "given"]
    assert long.options == TaskOptions(
        partition="q", priority=4, max_retries=5, options={"colour": "red", "size": "2"}
    )
    assert one.options == parent().options


@pytest.mark.parametrize(
    "entries",
    [
        "text",
        [1],
        [{}],
        [{"payload": 1}],
        [{"payload": -1}],
        [{"payload": True}],
        [{"payload": "../secret"}],
        [{"payload": 0, "needs": [0]}],
        [{"payload": 0, "needs": ["unknown"]}],
        [{"payload": 0, "needs": 3}],
        [{"payload": 0, "output": "other"}],
        [{"payload": 0, "output": ["result"]}],
        [{"payload": 0, "output": "result"}, {"payload": 0, "output": "result"}],
        [{"payload": 0, "priority": 1000}],
        [{"payload": 0, "options": "none"}],
    ],
)
def test_what_is_no_sub_task_is_a_breach(entries: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(entries, parent(), IDS, [memoryview(b"x")])


def test_a_sub_task_may_need_as_many_others_as_a_task() -> None:
    entries: list[dict[str, Any]] = [{"payload": 0} for _ in range(4096)]
    told = read([*entries, {"payload": 0, "needs": list(range(4096))}], parent(), IDS, [memoryview(b"x")])
    assert len(told.items[-1].depends_on or ()) == 4096
    with pytest.raises(ValueError, match="4096"):
        read([*entries, {"payload": 0, "needs": [*range(4096), 0]}], parent(), IDS, [memoryview(b"x")])
