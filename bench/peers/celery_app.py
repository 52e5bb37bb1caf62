"""The Celery application: `celery --app bench.peers.celery_app worker`."""

import os
from collections.abc import Sequence
from typing import Any, Final

from celery import Celery, chord

from bench.peers.element import element, joint, leaf

URL: Final = os.environ["BENCH_REDIS"]

app: Final = Celery("bench", broker=URL, backend=URL)
app.conf.update(
    # Bytes go in and out; the documentation has pickle for that.
    task_serializer="pickle",
    result_serializer="pickle",
    accept_content=["pickle"],
    # "Many tasks with a short duration": its guide to optimizing says to begin with 50 or 150.
    worker_prefetch_multiplier=64,
    # Priorities need this with Redis; 0 goes first.
    broker_transport_options={"queue_order_strategy": "priority", "priority_steps": [0, 5]},
    task_default_priority=5,
)
run: Final = app.task(name="element")(element)
single: Final = app.task(name="leaf")(leaf)


@app.task(name="grow", bind=True)  # type: ignore[untyped-decorator]  # published without types
def grow(self: Any, leaves: Sequence[int], left: int, width: int, above: int) -> Any:
    """The last task of a level; the level below takes its place."""
    counted = joint(above, leaves)
    if not left:
        return counted
    return self.replace(chord([single.s() for _ in range(width - 1)], grow.s(left - 1, width, counted)))
