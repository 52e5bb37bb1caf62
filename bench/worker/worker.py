"""The worker of the benchmarks, on PyPI `armonik` alone: burns CPU time, then returns bytes.

Options (text): `ms`, milliseconds of CPU time, none when left out; `bytes`, length of each result, else 8.
"""

import random
import time

from armonik.common import Output
from armonik.worker import TaskHandler, armonik_worker

# The same as in bench/workloads.py, which the image does not have.
BLOCK = random.Random(0).randbytes(1024 * 1024)


@armonik_worker()  # type: ignore[untyped-decorator]  # published without types
def work(task: TaskHandler) -> Output:
    """One element."""
    options = task.task_options.options
    burn(float(options.get("ms", "0")))
    task.send_results(dict.fromkeys(task.expected_results, data(int(options.get("bytes", "8")))))
    return Output()


def data(size: int) -> bytes:
    """So many bytes that no compression makes smaller."""
    return (BLOCK * (size // len(BLOCK) + 1))[:size]


def burn(milliseconds: float) -> None:
    """Compute for so long. CPU time, not the clock's: a worker that has to share its core takes longer."""
    end = time.thread_time() + milliseconds / 1000
    while time.thread_time() < end:
        pass


if __name__ == "__main__":
    work.run()
