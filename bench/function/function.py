"""The function of the benchmarks, for our own worker: what bench/worker/worker.py does.

Options (text): `ms`, milliseconds of CPU time, none when left out; `bytes`, length of each result, else 8.
"""

import random
import time

from armonik_sdk.worker import Element

# The same as in bench/workloads.py, which the image does not have.
BLOCK = random.Random(0).randbytes(1024 * 1024)


def function(element: Element) -> dict[str, bytes]:
    """One element."""
    end = time.thread_time() + float(element.options.get("ms", "0")) / 1000
    while time.thread_time() < end:
        pass
    size = int(element.options.get("bytes", "8"))
    return dict.fromkeys(element.outputs, (BLOCK * (size // len(BLOCK) + 1))[:size])
