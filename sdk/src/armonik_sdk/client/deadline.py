"""One time-out over several steps."""

import asyncio

from armonik_sdk.client.errors import WaitTimeout


class Deadline:
    """The remaining time of a time-out that several steps share."""

    def __init__(self, timeout: float | None) -> None:
        self._timeout = timeout
        self._end = None if timeout is None else asyncio.get_running_loop().time() + timeout

    def rest(self) -> float | None:
        """Seconds left; None without an end."""
        return None if self._end is None else max(0.0, self._end - asyncio.get_running_loop().time())

    def left(self, most: float, what: str) -> float:
        """Seconds left, at most `most`; raises WaitTimeout when there are none."""
        rest = self.rest()
        if rest is not None and rest <= 0:
            raise WaitTimeout(f"{what}: not there after {self._timeout} s")
        return most if rest is None else min(most, rest)
