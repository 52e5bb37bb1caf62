"""Runs calls of plain Python functions, as `python -m armonik_sdk.worker.functions`.

Each element's payload is a call in an envelope (`armonik_sdk.functions`), its result another one. `run` is
what is served; whoever executes calls elsewhere makes an `Element` and calls it, too.
"""

from armonik_sdk.worker.functions.context import CurrentTask, current_task
from armonik_sdk.worker.functions.run import run
from armonik_sdk.worker.functions.subtasks import TaskFuture, TaskMap

__all__ = ["CurrentTask", "TaskFuture", "TaskMap", "current_task", "run"]
