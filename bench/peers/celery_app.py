"""The Celery application: `celery --app bench.peers.celery_app worker`."""

import os
from typing import Final

from celery import Celery

from bench.peers.element import element

URL: Final = os.environ["BENCH_REDIS"]

app: Final = Celery("bench", broker=URL, backend=URL)
app.conf.update(
    # Bytes go in and out; the documentation has pickle for that.
    task_serializer="pickle",
    result_serializer="pickle",
    accept_content=["pickle"],
    # "Many tasks with a short duration": its guide to optimizing says to begin with 50 or 150.
    worker_prefetch_multiplier=64,
)
run: Final = app.task(name="element")(element)
