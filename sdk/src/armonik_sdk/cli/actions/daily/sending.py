"""Sends one function through, and says how long each step took."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Final

from armonik_sdk.apiserver import TASKS
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.cluster.waiting import until
from armonik_sdk.cli.doctor.findings import Finding, failure, ok, skipped
from armonik_sdk.cli.errors import CliError
from armonik_sdk.cli.overview.timeline import STEPS
from armonik_sdk.cli.views.reading import Object, is_true, moment, name_of, text
from armonik_sdk.client.errors import ClientError, NotFound
from armonik_sdk.functions import FunctionsError

SECONDS: Final = 120.0
"""Longest time of the whole: a pod may have to start, and its image to be pulled."""


async def send_one(cluster: Cluster, partitions: Sequence[Object]) -> AsyncIterator[Finding]:
    """Call a function in a session of its own, which is deleted."""
    able = [p for p in partitions if text(p, "status", "worker", "kind") in ("functions", "")]
    able.sort(key=lambda p: text(p, "status", "worker", "kind") != "functions")
    if not able or text(able[0], "status", "worker", "kind") != "functions":
        yield skipped("run", "no partition has workers of functions; try it with `helm test` of the release")
        return
    partition = name_of(able[0])
    try:
        yield await _sent(cluster, partition)
    except (ClientError, FunctionsError, CliError, TimeoutError) as error:
        yield failure(
            "run",
            f"a function does not come back from partition {partition}: {error or 'it takes too long'}",
            f"armonikctl explain partition/{partition}",
        )


async def _sent(cluster: Cluster, partition: str) -> Finding:
    from armonik_sdk.aio import connect

    given, begun, name = cluster.settings, time.monotonic(), f"doctor-{secrets.token_hex(4)}"
    try:
        client = await connect(cluster.namespace, kubeconfig=given.kubeconfig, context=given.context)
        async with (
            client,
            await client.session(name, partitions=[partition], ttl=600, on_exit="cancel") as session,
        ):
            future = session.submit(abs, -7)
            async with asyncio.timeout(SECONDS):
                value = await future
            whole = time.monotonic() - begun
            if value != 7:
                return failure(
                    "run", f"partition {partition}: the absolute value of -7 came back as {value!r}"
                )
            (task,) = await until(
                cluster,
                TASKS,
                [future.task],
                lambda task: is_true(task, "Finished"),
                SECONDS,
                "its end is reported",
            )
        return ok("run", f"a function went through partition {partition} in {whole:.1f} s{steps(task)}")
    finally:
        with contextlib.suppress(NotFound):  # it was not made
            await (await cluster.client.session(name)).delete()


def steps(task: Object) -> str:
    """What each step took."""
    times = [(step, moment(text(task, "status", "times", step))) for step in STEPS]
    said = [
        f"{after} after {1000 * (then - before).total_seconds():.0f} ms"
        for (_, before), (after, then) in pairwise(times)
        if before is not None and then is not None
    ]
    return f": {', '.join(said)}" if said else ""
