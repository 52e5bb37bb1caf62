"""Data on the servers when the operator starts."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Sizes:
    """Data on the servers when the operator starts."""

    workload: str
    finished: int = 0
    """Elements."""
    singles: int = 0
    """Finished Tasks of one element."""
    items: int = 0
    """Of one Task, half of which have ended; none of the others was queued yet."""
    unfinished: int = 0
    """Elements that are queued or worked on."""

    def scaled(self, scale: float) -> "Sizes":
        """All sizes multiplied by `scale`."""
        return Sizes(
            self.workload,
            finished=int(self.finished * scale),
            singles=int(self.singles * scale),
            items=int(self.items * scale),
            unfinished=int(self.unfinished * scale),
        )


WORKLOADS: Final = (
    Sizes("nothing"),
    Sizes("all finished, and a Task of items", finished=1_000_000, singles=50_000, items=1_000_000),
    Sizes("unfinished among finished", finished=1_000_000, unfinished=200_000),
)
