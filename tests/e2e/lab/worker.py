"""The worker of the end-to-end tests: it does, or fails to do, what the task's options ask for.

Options (all text): `mode`, and what the mode takes.

- `echo` (default): the payload, as the result
- `noop`: an empty result
- `sleep`: sleeps `seconds`, then echoes; with `until` only while that file is missing, which it makes first
- `told`: what the worker was told, as JSON
- `extra`: a result of its own with the text `text` beside the expected ones, which carry its id
- `crash`: the process ends at once, without an answer; with `until` only while that file is missing, which it
  makes first, so the next execution in the same pod echoes
- `raise`: an exception leaves the processing function
- `error`: returns an error with the text `message`
- `silent`: success without a result
- `concat`: the data dependencies, sorted by id, joined by commas
- `subtasks`: payload "1 2 3": one child squares each number, a last one adds up what they made and is handed
  this task's own outputs; with `then: "error"` or `then: "raise"` it fails after that
- `hostile`: looks for the agent's credentials; the result lists what it could read
"""

import json
import os
import time
from datetime import timedelta
from pathlib import Path

from armonik.common import Output, TaskDefinition, TaskOptions
from armonik.worker import TaskHandler, armonik_worker

_CREDENTIAL_FILES = ("nats-password", "nats-user", "nats-url", "s3-access-key", "s3-secret-key")
_CREDENTIAL_WORDS = ("password", "secret", "access_key", "token", "nats", "s3_")


@armonik_worker()
def lab(task: TaskHandler) -> Output:
    options = task.task_options.options
    match options.get("mode", "echo"):
        case "echo":
            return _send(task, task.payload)
        case "noop":
            return _send(task, b"")
        case "sleep":
            if _first(options.get("until", "")):
                time.sleep(float(options.get("seconds", "1")))
            return _send(task, task.payload)
        case "told":
            return _send(task, json.dumps(_told(task)).encode())
        case "extra":
            made = task.create_results({"extra": options.get("text", "").encode()})
            return _send(task, made["extra"].result_id.encode())
        case "crash":
            if _first(options.get("until", "")):
                os._exit(17)
            return _send(task, task.payload)
        case "raise":
            raise RuntimeError(options.get("message", "asked to raise"))
        case "error":
            return Output(error=options.get("message", "asked to fail"))
        case "silent":
            return Output()
        case "square":
            return _send(task, str(int(task.payload) ** 2).encode())
        case "sum":
            return _send(task, str(sum(int(data) for _, data in task.data_dependencies.items())).encode())
        case "concat":
            return _send(task, b",".join(data for _, data in sorted(task.data_dependencies.items())))
        case "subtasks":
            return _subtasks(task)
        case "hostile":
            return _send(task, json.dumps(_loot()).encode())
        case mode:
            return Output(error=f"unknown mode {mode!r}")


def _told(task: TaskHandler) -> dict[str, object]:
    options = task.task_options
    return {
        "session": task.session_id,
        "task": task.task_id,
        "expected": list(task.expected_results),
        "options": dict(options.options),
        "priority": options.priority,
        "maxRetries": options.max_retries,
        "partition": options.partition_id,
        "application": options.application_name,
    }


def _send(task: TaskHandler, data: bytes) -> Output:
    task.send_results(dict.fromkeys(task.expected_results, data))
    return Output()


def _first(until: str) -> bool:
    """Whether the file was missing, or none is asked for."""
    if not until:
        return True
    missing = not Path(until).exists()
    Path(until).touch()
    return missing


def _subtasks(task: TaskHandler) -> Output:
    numbers = task.payload.decode().split()
    payloads = task.create_results({f"number-{i}": number.encode() for i, number in enumerate(numbers)})
    payloads |= task.create_results({"none": b""})
    squares = task.create_results_metadata([f"square-{i}" for i in range(len(numbers))])
    square_ids = [squares[f"square-{i}"].result_id for i in range(len(numbers))]
    task.submit_tasks(
        [
            TaskDefinition(payload_id=payloads[f"number-{i}"].result_id, expected_output_ids=[square])
            for i, square in enumerate(square_ids)
        ],
        _child_options(task, "square"),
    )
    task.submit_tasks(
        [
            TaskDefinition(
                payload_id=payloads["none"].result_id,
                expected_output_ids=task.expected_results,
                data_dependencies=square_ids,
            )
        ],
        _child_options(task, "sum"),
    )
    match task.task_options.options.get("then"):
        case "error":
            return Output(error="asked to fail after submitting")
        case "raise":
            raise RuntimeError("asked to raise after submitting")
        case _:
            return Output()


def _child_options(task: TaskHandler, mode: str) -> TaskOptions:
    own = task.task_options
    return TaskOptions(
        max_duration=own.max_duration or timedelta(minutes=1),
        priority=own.priority,
        max_retries=own.max_retries,
        partition_id=own.partition_id,
        options={"mode": mode},
    )


def _loot() -> list[str]:
    """Every place where something like a credential could be read."""
    found = [f"env:{name}" for name in os.environ if any(word in name.lower() for word in _CREDENTIAL_WORDS)]
    roots = [Path("/"), *(entry / "root" for entry in Path("/proc").glob("[0-9]*"))]
    for root in roots:
        found += [
            str(root / "run/armonik" / name)
            for name in _CREDENTIAL_FILES
            if _readable(root / "run/armonik" / name)
        ]
    found += [str(file) for file in Path("/cache").rglob("*") if file.name in _CREDENTIAL_FILES]
    for entry in Path("/proc").glob("[0-9]*"):
        if entry.name != str(os.getpid()) and b"armonik_agent" in _content(entry / "cmdline"):
            found.append(str(entry))
        if b"ARMONIK_CREDENTIALS" in _content(entry / "environ"):
            found.append(str(entry / "environ"))
    return sorted(found)


def _readable(file: Path) -> bool:
    return bool(_content(file))


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""  # not readable is what a hostile worker should meet everywhere


if __name__ == "__main__":
    lab.run()
