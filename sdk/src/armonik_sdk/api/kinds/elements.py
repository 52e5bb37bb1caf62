"""How many elements are in which state; the same counters on Task and Session."""

from typing import Annotated, Any

from pydantic import Field

from armonik_sdk.api.kinds.base import ApiModel

_Count = Annotated[int, Field(ge=0)]


class ElementCounts(ApiModel):
    """Elements by state. `pending + queued + running + succeeded + failed + timedOut + cancelled = total`."""

    total: _Count = 0
    """All elements."""
    pending: _Count = 0
    """Waiting for data, or for room in the queue."""
    queued: _Count = 0
    """In the queue, or paused."""
    running: _Count = 0
    """In the hands of a worker."""
    succeeded: _Count = 0
    """Ended well."""
    failed: _Count = 0
    """Ended with an error."""
    timed_out: _Count = 0
    """Ended because they took longer than allowed."""
    cancelled: _Count = 0
    """Ended by request."""

    def model_post_init(self, context: Any, /) -> None:
        """Count zeros as set: a merge patch that left them out would keep what was there before."""
        self.model_fields_set.update(type(self).model_fields)

    @property
    def ended(self) -> int:
        """Elements in a terminal state."""
        return self.succeeded + self.failed + self.timed_out + self.cancelled

    @property
    def progress(self) -> str:
        """`succeeded/total`, as `status.progress` shows it."""
        return f"{self.succeeded}/{self.total}"

    def __add__(self, other: "ElementCounts") -> "ElementCounts":
        return ElementCounts(
            **{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields}
        )
