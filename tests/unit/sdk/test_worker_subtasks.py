"""What a function may submit, and how it is told to the agent."""

from pathlib import Path

import pytest

from armonik_sdk.worker import Element, Promise


def element(tmp_path: Path) -> Element:
    return Element(
        3, "task.3", b"", {"given": memoryview(b"x")}, ("a", "b"), {"colour": "red"}, "s", tmp_path
    )


def test_sub_tasks_are_told_in_their_order_and_equal_payloads_once(tmp_path: Path) -> None:
    parent, blobs = element(tmp_path), [b"an output"]
    first, second = parent.submit("same"), parent.submit(b"same", depends_on=["given"])
    parent.submit(
        b"l" * 70_000,
        depends_on=[second, first],
        output="b",
        options={"colour": "blue"},
        partition="gpu",
        priority=9,
    )
    *short, long = parent.sub_tasks.told(tmp_path, blobs)
    assert short == [{"payload": 1}, {"payload": 1, "needs": ["given"]}]
    assert blobs == [b"an output", b"same"]
    assert (tmp_path / long.pop("payload")).read_bytes() == b"l" * 70_000
    assert long == {
        "needs": [1, 0],
        "output": "b",
        "options": {"colour": "blue"},
        "partition": "gpu",
        "priority": 9,
    }
    assert parent.sub_tasks.handed_over == {"b"}


def test_what_cannot_be_is_refused_with_the_reason(tmp_path: Path) -> None:
    parent = element(tmp_path)
    parent.submit(output="a")
    with pytest.raises(ValueError, match="handed to another sub-task already"):
        parent.submit(output="a")
    with pytest.raises(ValueError, match="'c' is no output"):
        parent.submit(output="c")
    with pytest.raises(ValueError, match="'other' is no dependency"):
        parent.submit(depends_on=["other"])
    with pytest.raises(ValueError, match="not submitted yet"):
        parent.submit(depends_on=[Promise(1)])
    with pytest.raises(ValueError, match="more than 4096 dependencies"):
        parent.submit(depends_on=[Promise(0)] * 4097)
    assert len(parent.sub_tasks) == 1
