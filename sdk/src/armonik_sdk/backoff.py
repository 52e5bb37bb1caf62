"""Delays between attempts: each is twice the one before, up to a bound. Pure."""


def doubled(first: float, most: float, failures: int) -> float:
    """Seconds to wait after that number of failures in a row: `first` after the first, at most `most`."""
    return float(min(most, first * 2 ** min(max(failures - 1, 0), 64)))


class Backoff:
    """Delays of somebody who tries again until it succeeds."""

    def __init__(self, first: float, most: float) -> None:
        self._first, self._most = first, most
        self._failures = 0

    @property
    def seconds(self) -> float:
        """The delay after one more failure."""
        return doubled(self._first, self._most, self._failures + 1)

    def failed(self) -> float:
        """An attempt has failed; seconds to wait."""
        self._failures += 1
        return doubled(self._first, self._most, self._failures)

    def reset(self) -> None:
        """An attempt has succeeded."""
        self._failures = 0
