"""A worker of PyPI `armonik`, unchanged, whose payload says what it should do (tests/polyglot/README.md)."""

import os
import time

from armonik.common import Output, TaskDefinition
from armonik.worker import TaskHandler, armonik_worker

LARGE = 63 * 1024 * 1024


@armonik_worker()
def processor(task: TaskHandler) -> Output:
    what, _, argument = task.payload.decode().partition(" ")
    if what == "error":
        return Output("refused: 100 % Ünheard of")
    if what == "throw":
        raise RuntimeError("thrown")
    if what == "exit":
        os._exit(3)
    if what == "sleep":
        time.sleep(60)
    if what == "large":
        task.create_results({"large": b"\x07" * LARGE})
        write(task, b"large")
    elif what == "create":
        made = task.create_results({f"r{number}": str(number).encode() for number in range(int(argument))})
        write(task, " ".join(result.result_id for result in made.values()).encode())
    elif what == "submit":
        child = task.create_results({"payload": b"child"})["payload"]
        task.submit_tasks(
            [TaskDefinition(payload_id=child.result_id, expected_output_ids=task.expected_results)]
        )
    else:
        inputs = b"".join(task.data_dependencies[name] for name in sorted(task.data_dependencies))
        write(task, task.payload + b"|" + inputs)
    return Output()


def write(task: TaskHandler, data: bytes) -> None:
    task.send_results(dict.fromkeys(task.expected_results, data))


if __name__ == "__main__":
    processor.run()
