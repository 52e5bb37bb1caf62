"""Sub-tasks as the lines of an items object: written at once, for models of many take far more memory."""

from typing import NamedTuple

from armonik_sdk.api.bounds import MAX_LINE_BYTES, MAX_LINES_BYTES
from armonik_sdk.api.messages import ManifestItem


class Line(NamedTuple):
    """One sub-task, and what decides in which child Task it is put."""

    partition: str
    priority: int
    text: bytes


def line_of(item: ManifestItem) -> Line:
    """The line of a sub-task."""
    options = item.options
    partition, priority = (options.partition or "", options.priority or 0) if options else ("", 0)
    return Line(partition, priority, item.model_dump_json(by_alias=True, exclude_unset=True).encode())


class Lines(list[Line]):
    """The sub-tasks of one element."""

    size = 0
    """Bytes of all of them."""

    def grow(self, *lines: Line) -> None:
        """Add these, all or none.

        Raises:
            ValueError: they are too long together.
        """
        longest = max((len(line.text) for line in lines), default=0)
        if longest > MAX_LINE_BYTES:
            raise ValueError(
                f"a sub-task takes {longest} bytes to describe, and at most {MAX_LINE_BYTES} are taken: "
                "give it fewer dependencies and options"
            )
        size = self.size + sum(len(line.text) + 1 for line in lines)
        if size > MAX_LINES_BYTES:
            raise ValueError(
                f"the sub-tasks of one element take {size} bytes to describe, and at most "
                f"{MAX_LINES_BYTES} are taken: submit fewer, with fewer dependencies and options, "
                "or let sub-tasks submit the rest"
            )
        self.size = size
        self.extend(lines)
