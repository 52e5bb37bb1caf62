"""What every peer's worker runs for an element."""

from bench.workloads import burn, data


def element(payload: bytes, milliseconds: float, size: int) -> bytes:
    """The same as bench/worker/worker.py does."""
    del payload  # has come, which is what is measured
    burn(milliseconds)
    return data(size)
