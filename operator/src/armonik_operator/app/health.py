"""`/livez`, `/readyz` and `/metrics` of the operator.

Live: the event loop ticks, and both the fold and the work queue have made progress within `STUCK_SECONDS` or
have nothing to do. A restart is the remedy for what this shows, so a dependency that is down does not count.

Ready: it can work. The leader works once the journal of a tenant is replayed, while NATS and the apiserver
answer. A standby waits for the Lease, and is ready while the apiserver answers it. The object store does not
count: work that needs none continues, and what needs it has a condition.
"""

import time
from collections.abc import Callable, Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from armonik_operator.clients.availability import Availability
from armonik_sdk.circuit import Circuit
from armonik_sdk.event_loop_lag import LAG_BUCKETS, LoopMonitor

STUCK_SECONDS = 600.0
"""Longer than any handler may take: each call it makes has a time-out and few retries."""
TICK_SECONDS = 30.0


class Progress:
    """When something last moved, while there was something to do."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._moved = clock()
        self._idle = True

    def moved(self, *, idle: bool = False) -> None:
        """It moved; `idle`: and there is nothing more to do."""
        self._moved, self._idle = self._clock(), idle

    def waits(self) -> None:
        """There is something to do from now on, if there was nothing before."""
        if self._idle:
            self._moved, self._idle = self._clock(), False

    @property
    def stuck(self) -> float:
        """Seconds without a move; 0 while there is nothing to do."""
        return 0.0 if self._idle else self._clock() - self._moved


class TenantHealth:
    """What one tenant does, and whether its connection to NATS is up."""

    def __init__(self, nats: Circuit) -> None:
        self.nats = nats
        self.queue = Progress()
        self.fold = Progress()
        self.working = False
        """Its journal is replayed and it works."""

    def dead(self) -> str:
        """Why only a restart helps; empty when it lives."""
        if self.queue.stuck > STUCK_SECONDS:
            return f"no handler has ended for {self.queue.stuck:.0f} s although objects wait"
        if self.nats.up and self.fold.stuck > STUCK_SECONDS:
            return f"the journal was not read for {self.fold.stuck:.0f} s"
        return ""


class Health:
    """What the probes and `/metrics` say."""

    def __init__(self, dependencies: Availability) -> None:
        self._dependencies = dependencies
        self.registry = CollectorRegistry()
        lag = Histogram(
            "armonik_event_loop_lag_seconds",
            "Lateness of the event loop's wake-ups.",
            buckets=LAG_BUCKETS,
            registry=self.registry,
        )
        self.registry.register(_Gauges(self))
        self.monitor = LoopMonitor(lag.observe)
        self.tenants: list[TenantHealth] = []
        self.leader = False
        self._kinds = "the kinds were not looked for yet"

    def note_kinds(self, missing: str) -> None:
        """Why the watches cannot begin; empty once they can."""
        self._kinds = missing

    def unready(self) -> str:
        """Why it cannot work; empty when it can."""
        needed = {"apiserver": self._dependencies.apiserver}
        if self.leader:
            needed["nats"] = self._dependencies.nats
            if self.tenants and not any(tenant.working for tenant in self.tenants):
                return "the journal is not replayed yet"
        down = "; ".join(f"{name} is down: {c.error}" for name, c in needed.items() if not c.up)
        return down or self._kinds

    def dead(self) -> str:
        """Why only a restart helps; empty when it lives."""
        still = time.monotonic() - self.monitor.ticked
        if still > TICK_SECONDS:
            return f"the event loop's monitor has not run for {still:.0f} s"
        return next(filter(None, (tenant.dead() for tenant in self.tenants)), "")

    def up(self) -> dict[str, bool]:
        """Which dependencies answer."""
        return {name: circuit.up for name, circuit in self._dependencies.by_name().items()}

    async def serve(self, port: int) -> web.AppRunner:
        """Listen on all addresses; the caller cleans the runner up."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/livez", lambda _: _verdict(self.dead())),
                web.get("/readyz", lambda _: _verdict(self.unready())),
                web.get("/metrics", self._scrape),
            ]
        )
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, None, port).start()
        return runner

    async def _scrape(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self.registry), content_type="text/plain")


async def _verdict(reason: str) -> web.Response:
    return web.Response(text=f"{reason or 'ok'}\n", status=503 if reason else 200)


class _Gauges(Collector):
    """What is looked up when somebody asks."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges, now."""
        up = GaugeMetricFamily(
            "armonik_dependency_up", "Whether a dependency answers.", labels=["dependency"]
        )
        for name, answers in self._health.up().items():
            up.add_metric([name], float(answers))
        yield up
        yield GaugeMetricFamily(
            "armonik_leader", "Whether this operator holds the Lease.", value=float(self._health.leader)
        )
