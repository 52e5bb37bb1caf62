"""The worker of the benchmarks, on PyPI `armonik` alone: burns CPU time, then returns bytes.

Options (text): `ms`, milliseconds of CPU time, none when left out; `bytes`, length of each result, else 8.
With `tree`, it is a task of the tree: see `grow`.
"""

import random
import time

from armonik.common import Output, TaskDefinition
from armonik.worker import TaskHandler, armonik_worker

# The same as in bench/workloads.py, which the image does not have.
BLOCK = random.Random(0).randbytes(1024 * 1024)


@armonik_worker()  # type: ignore[untyped-decorator]  # published without types
def work(task: TaskHandler) -> Output:
    """One element."""
    options = task.task_options.options
    if "tree" in options:
        return grow(task)
    burn(float(options.get("ms", "0")))
    task.send_results(dict.fromkeys(task.expected_results, data(int(options.get("bytes", "8")))))
    return Output()


def grow(task: TaskHandler) -> Output:
    """A task of the tree.

    Payload `leaf`: it counts itself. Else "left width above": the last task of a level, which adds up what
    was counted above, the other tasks of its level, and itself, and submits the next level, if one is left.
    The last task of that is handed its own result.
    """
    if task.payload == b"leaf":
        task.send_results(dict.fromkeys(task.expected_results, b"1"))
        return Output()
    left, width, above = map(int, task.payload.split())
    counted = above + sum(int(found) for _, found in task.data_dependencies.items()) + 1
    if not left:
        task.send_results(dict.fromkeys(task.expected_results, str(counted).encode()))
        return Output()
    given = task.create_results({"leaf": b"leaf", "next": f"{left - 1} {width} {counted}".encode()}, 2)
    found = task.create_results_metadata([str(number) for number in range(width - 1)])
    ids = [result.result_id for result in found.values()]
    below = [TaskDefinition(payload_id=given["leaf"].result_id, expected_output_ids=[one]) for one in ids]
    below.append(
        TaskDefinition(
            payload_id=given["next"].result_id,
            expected_output_ids=task.expected_results,
            data_dependencies=ids,
        )
    )
    task.submit_tasks(below)
    return Output()


def data(size: int) -> bytes:
    """`size` bytes that no compression makes smaller."""
    return (BLOCK * (size // len(BLOCK) + 1))[:size]


def burn(milliseconds: float) -> None:
    """Compute for that CPU time, not the clock's: a worker that has to share its core takes longer."""
    end = time.thread_time() + milliseconds / 1000
    while time.thread_time() < end:
        pass


if __name__ == "__main__":
    work.run()
