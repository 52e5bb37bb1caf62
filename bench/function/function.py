"""The function of the benchmarks, for our own worker: what bench/worker/worker.py does.

Options (text): `ms`, milliseconds of CPU time, none when left out; `bytes`, length of each result, else 8.
With `tree`, it is a task of the tree: see `grow`.
"""

import random
import time

from armonik_sdk.worker import Element

# The same as in bench/workloads.py, which the image does not have.
BLOCK = random.Random(0).randbytes(1024 * 1024)


def function(element: Element) -> dict[str, bytes] | bytes | None:
    """One element."""
    if "tree" in element.options:
        return grow(element)
    end = time.thread_time() + float(element.options.get("ms", "0")) / 1000
    while time.thread_time() < end:
        pass
    size = int(element.options.get("bytes", "8"))
    return dict.fromkeys(element.outputs, (BLOCK * (size // len(BLOCK) + 1))[:size])


def grow(element: Element) -> bytes | None:
    """A task of the tree, as in bench/worker/worker.py."""
    if element.payload == b"leaf":
        return b"1"
    left, width, above = map(int, element.payload.split())
    counted = above + sum(map(int, element.dependencies.values())) + 1
    if not left:
        return str(counted).encode()
    leaves = [element.submit(b"leaf") for _ in range(width - 1)]
    element.submit(f"{left - 1} {width} {counted}", depends_on=leaves, output=element.outputs[0])
    return None
