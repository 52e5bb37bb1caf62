"""A function for our own worker, whose payload says what it should do; beside `agent_worker.py`."""

import os
import signal
import time
from pathlib import Path

from armonik_sdk.worker import Abort, Element, serve


def function(element: Element) -> bytes | dict[str, bytes]:
    what = element.payload.decode()
    print(f"element {element.index}")  # noqa: T201 - what is said reaches the log
    match what.split():
        case ["error"]:
            raise Abort("refused by the worker")
        case ["raise"]:
            raise RuntimeError("crashed")
        case ["nothing"]:
            return {}
        case ["exit"]:
            os._exit(3)
        case ["die"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["once", how]:
            flaky(element, how)
        case ["break"]:
            os.kill(os.getppid(), signal.SIGKILL)  # the process that copies this one: the whole worker ends
            time.sleep(60)
        case ["doze"]:
            time.sleep(0.05)
        case ["sleep"]:
            time.sleep(4)
        case ["slow-from", index] if element.index >= int(index):
            time.sleep(1)
        case ["hold", name]:
            return when_let(Path(os.environ["HOLD"]) / name)
        case ["parent", *numbers]:
            submit(element, numbers)
            return dict.fromkeys(element.outputs[1:], b"own")
        case ["fan", count, size]:
            for number in range(int(count)):
                element.submit(number.to_bytes(4, "big") + bytes(int(size) - 4))
        case ["impossible"]:
            element.submit(b"x", priority=1000)
        case ["unkept", *numbers]:
            submit(element, numbers)
            raise Abort("refused after it has submitted")
        case ["big"]:
            return dict.fromkeys(element.outputs, b"b" * 100_000)
    inputs = b"".join(element.dependencies[name] for name in sorted(element.dependencies))
    return dict.fromkeys(element.outputs, element.payload + b"|" + inputs)


def submit(element: Element, numbers: list[str]) -> None:
    """A sub-task for each number, one with a long payload, and one that needs them all."""
    made = [element.submit(number) for number in numbers]
    made.append(element.submit(b"l" * 100_000, options={"colour": "green"}, priority=7))
    needs = [*made, *element.dependencies]
    element.submit("sum", depends_on=needs, output=element.outputs[0])


def flaky(element: Element, how: str) -> None:
    """Fail the first execution of each element."""
    mark = Path(os.environ["HOLD"]) / f"{element.task_id}.once"
    if not mark.exists():
        mark.touch()
        if how == "exit":
            os._exit(3)
        raise RuntimeError("crashed")


def when_let(here: Path) -> bytes:
    """Say that it has begun; wait for the test, and return what that wants."""
    here.with_suffix(".begun").touch()
    go = here.with_suffix(".go")
    while not go.exists():
        time.sleep(0.02)
    return go.read_bytes()


if __name__ == "__main__":
    serve(function)
