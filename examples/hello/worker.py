"""A worker written against PyPI `armonik` alone: a number in, its square out, both as text."""

from armonik.common import Output
from armonik.worker import TaskHandler, armonik_worker


@armonik_worker()
def square(task: TaskHandler) -> Output:
    text = task.payload.decode(errors="replace").strip()
    try:
        number = int(text)
    except ValueError:
        return Output(error=f"the payload is not a whole number: {text[:80]!r}")
    task.send_results({output: str(number * number).encode() for output in task.expected_results})
    return Output()


if __name__ == "__main__":
    square.run()
