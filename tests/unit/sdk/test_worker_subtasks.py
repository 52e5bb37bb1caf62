"""What a function may submit, and how it is sent to the agent."""

from pathlib import Path

import pytest

from armonik_sdk.api.bounds import MAX_BLOBS_BYTES
from armonik_sdk.api.runcall import unframe
from armonik_sdk.worker import Element, Promise
from armonik_sdk.worker.executor.process import run_element
from armonik_sdk.worker.server import _parts
from armonik_sdk.worker.subtasks import SubTask, SubTasks


def element(tmp_path: Path) -> Element:
    return Element(
        3, "task.3", b"", {"given": memoryview(b"x")}, ("a", "b"), {"colour": "red"}, "s", folder=tmp_path
    )


def test_sub_tasks_are_sent_in_their_order_and_equal_payloads_once(tmp_path: Path) -> None:
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
    *short, long = parent.sub_tasks.entries(tmp_path, blobs)
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


def test_many_payloads_are_files_however_small(tmp_path: Path) -> None:
    made = SubTasks()
    for number in range(100):
        made.add(SubTask(bytes([number]) * 50_000, (), None, {}, "", 0), (), ())
    blobs = [b"o" * 50_000]
    places = [entry["payload"] for entry in made.entries(tmp_path, blobs)]
    assert sum(map(len, blobs)) <= MAX_BLOBS_BYTES < sum(map(len, blobs)) + 50_000
    for number, place in enumerate(places):
        data = blobs[place] if isinstance(place, int) else (tmp_path / place).read_bytes()
        assert data == bytes([number]) * 50_000


def test_what_is_too_long_to_describe_is_an_error_that_is_final(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def function(element: Element) -> bytes:
        for _ in range(100):
            element.submit(b"x", options={"text": "t" * 100})
        return b"done"

    monkeypatch.setattr("armonik_sdk.worker.executor.process.MAX_ENDED_BYTES", 5_000)
    element = Element(0, "t", b"", {}, ("result",), {}, "s", folder=tmp_path)
    head, blobs = unframe(run_element(function, element, {"result": "t.0.result"}, tmp_path))
    (ended,) = head["ended"]
    assert ended["error"].startswith("100 sub-tasks take ")
    assert "outputs" not in ended
    assert not blobs


def test_what_ended_is_sent_in_frames_of_bounded_length() -> None:
    small = ({"index": 0, "outputs": {"a": 0}}, [memoryview(b"x")])
    large = ({"index": 1, "outputs": {"a": 0}}, [memoryview(bytes(3 * 1024 * 1024))])
    many = ({"index": 2, "outputs": {"a": 0}, "children": []}, [memoryview(b"x")])
    parts = list(_parts([small, large, large, small, many, many, small]))
    assert [[entry["index"] for entry, _ in part] for part in parts] == [[0, 1], [1, 0], [2], [2], [0]]
