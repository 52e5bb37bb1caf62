"""Sub-tasks as a worker of whole runs sends them: what follows, and what is no such thing."""

from typing import Any

import pytest

from armonik_agent.data.elements import Element, Elements
from armonik_agent.data.subtask_lines import Line, Lines
from armonik_agent.worker.subtasks import INLINE_TOTAL_BYTES, parse_subtasks
from armonik_sdk.api.bounds import MAX_LINE_BYTES
from armonik_sdk.api.kinds import TaskOptions
from armonik_sdk.api.messages import ManifestItem, RunMessage

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
    told = parse_subtasks(entries, parent(), IDS, blobs)
    one, long, file, last = items = [ManifestItem.model_validate_json(line.text) for line in told.items]
    assert one.payload is not None
    assert one.payload.content() == b"one"
    assert last.payload == one.payload
    assert [list(told.made.values()), list(told.files.values())] == [[b"\xff" * 40_000], ["file"]]
    assert long.payload is not None
    assert file.payload is not None
    assert [long.payload.result, file.payload.result] == [*told.made, *told.files]
    made = [(item.output_ids or [""])[0] for item in items]
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
        parse_subtasks(entries, parent(), IDS, [memoryview(b"x")])


def test_a_sub_task_may_need_as_many_others_as_a_task() -> None:
    entries: list[dict[str, Any]] = [{"payload": 0} for _ in range(4096)]
    told = parse_subtasks(
        [*entries, {"payload": 0, "needs": list(range(4096))}], parent(), IDS, [memoryview(b"x")]
    )
    assert len(ManifestItem.model_validate_json(told.items[-1].text).depends_on or ()) == 4096
    with pytest.raises(ValueError, match="4096"):
        parse_subtasks(
            [*entries, {"payload": 0, "needs": [*range(4096), 0]}], parent(), IDS, [memoryview(b"x")]
        )


def test_payloads_ride_in_the_manifest_while_they_are_few() -> None:
    """What many sub-tasks share counts as often as it would be repeated."""
    shared = [memoryview(b"s" * 30_000)]
    told = parse_subtasks([{"payload": 0}] * 1000, parent(), IDS, shared)
    assert list(told.made.values()) == [shared[0]]
    assert told.items.size < 1_000_000
    blobs = [memoryview(bytes([number]) * 30_000) for number in range(200)]
    told = parse_subtasks([{"payload": number} for number in range(200)], parent(), IDS, blobs)
    assert told.inline <= INLINE_TOTAL_BYTES < told.inline + 30_000
    assert len(told.made) == 200 - told.inline // 30_000


def test_sub_tasks_that_are_too_long_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("armonik_agent.data.subtask_lines.MAX_LINES_BYTES", 10_000)
    with pytest.raises(ValueError, match="bytes to describe, and at most 10000 are taken"):
        parse_subtasks([{"payload": 0}] * 1000, parent(), IDS, [memoryview(b"x")])


@pytest.mark.parametrize(("extra", "fits"), [(-1, True), (0, True), (1, False)])
def test_one_sub_task_has_a_bound(extra: int, fits: bool) -> None:
    lines = Lines()
    line = Line("p", 1, b"x" * (MAX_LINE_BYTES + extra))
    if fits:
        lines.grow(line)
    else:
        with pytest.raises(ValueError, match=f"a sub-task takes {MAX_LINE_BYTES + 1} bytes to describe"):
            lines.grow(line)
    assert len(lines) == fits
