"""Each transition of a Task is one line of the log."""

import pytest

from armonik_operator.controllers.transition_log import TransitionLog
from armonik_operator.journal.fold import TaskFold
from armonik_operator.planning.task import TaskView
from armonik_sdk.api.kinds import Task, TaskOptions


def test_a_transition_is_logged_once_with_its_names(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    meta = {"name": "t", "namespace": "n", "uid": "u", "generation": 1}
    task = Task.from_object({"metadata": meta, "spec": {"session": "s"}})
    view, transitions = TaskView(task, None, None, TaskOptions(), TaskFold()), TransitionLog()
    for _ in range(3):
        transitions.log(view, "is admitted", "partition p")
    transitions.log(view, "has finished", "Completed")
    assert caplog.messages == [
        "task n/t of session s is admitted: partition p",
        "task n/t of session s has finished: Completed",
    ]
    transitions.forget("u")
    transitions.log(view, "is admitted", "partition p")
    assert len(caplog.messages) == 3
