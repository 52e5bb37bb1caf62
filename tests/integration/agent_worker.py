"""A worker of PyPI `armonik`, unchanged, whose payload says what it should do."""

import os
import time
from pathlib import Path

from armonik.common import Output, TaskDefinition
from armonik.worker import TaskHandler, armonik_worker


@armonik_worker()
def processor(task: TaskHandler) -> Output:
    what = task.payload.decode()
    if what == "error":
        return Output("refused by the worker")
    if what == "raise":
        raise RuntimeError("crashed")
    if what == "sleep":
        time.sleep(4)
    if what.startswith("hold "):
        send_when_let(task, Path(os.environ["HOLD"]) / what.removeprefix("hold "))
    elif what.startswith("fan "):
        count, size = map(int, what.split()[1:])
        given = {str(number): number.to_bytes(4, "big") + bytes(size - 4) for number in range(count)}
        for first in range(0, count, 500):  # as much as one request takes
            names = list(given)[first : first + 500]
            made = task.create_results({name: given[name] for name in names})
            outputs = task.create_results_metadata(names)
            task.submit_tasks(
                [TaskDefinition(made[name].result_id, [outputs[name].result_id]) for name in names]
            )
        task.send_results(dict.fromkeys(task.expected_results, b"fan"))
    elif what == "children":
        made = task.create_results({"child payload": b"echo"})["child payload"]
        task.submit_tasks(
            [TaskDefinition(payload_id=made.result_id, expected_output_ids=task.expected_results)]
        )
    elif what != "nothing":
        inputs = b"".join(task.data_dependencies[name] for name in sorted(task.data_dependencies))
        task.send_results(dict.fromkeys(task.expected_results, task.payload + b"|" + inputs))
    return Output()


def send_when_let(task: TaskHandler, here: Path) -> None:
    """Say that it has begun; wait for the test, and send what that wants."""
    here.with_suffix(".begun").touch()
    go = here.with_suffix(".go")
    while not go.exists():
        time.sleep(0.02)
    task.send_results(dict.fromkeys(task.expected_results, go.read_bytes()))


if __name__ == "__main__":
    processor.run()
