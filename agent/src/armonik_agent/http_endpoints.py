"""`/livez`, `/readyz` and `/metrics`."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from armonik_sdk.event_loop_lag import LAG_BUCKETS, LoopMonitor


class Metrics:
    """What the agent counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.elements = Counter(
            "armonik_agent_elements", "Elements that ended here.", ["outcome"], registry=self.registry
        )
        self._ended: dict[str, Counter] = {}
        """By outcome: finding one by its label takes longer than counting it."""
        self.failures = Counter(
            "armonik_agent_failed_executions",
            "Executions that failed and cost an attempt.",
            registry=self.registry,
        )
        self.seconds = Histogram(
            "armonik_agent_execution_seconds", "Duration of executions.", registry=self.registry
        )
        self.running = Gauge("armonik_agent_runs", "Runs held now.", registry=self.registry)
        self.fenced = Counter("armonik_agent_fenced", "Runs lost to another owner.", registry=self.registry)
        self.given_back = Counter(
            "armonik_agent_given_back", "Messages given back unstarted.", registry=self.registry
        )
        self.lag = Histogram(
            "armonik_event_loop_lag_seconds",
            "Lateness of the event loop's wake-ups.",
            buckets=LAG_BUCKETS,
            registry=self.registry,
        )
        self.monitor = LoopMonitor(self.lag.observe)
        """Whoever owns the loop runs it."""

    def ended(self, outcome: str) -> None:
        """Count an element that ended here."""
        counter = self._ended.get(outcome)
        if counter is None:
            counter = self._ended[outcome] = self.elements.labels(outcome)
        counter.inc()


async def serve_http(metrics: Metrics, unready: Callable[[], str], port: int) -> web.AppRunner:
    """Listen on all addresses; the caller cleans the runner up.

    Args:
        metrics: what is counted.
        unready: why no work is taken; empty while it is.
        port: to listen on.
    """

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        reason = unready()
        return web.Response(text=f"{reason or 'ok'}\n", status=503 if reason else 200)

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), content_type="text/plain")

    app = web.Application()
    app.add_routes(
        [web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", scrape)],
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()
    return runner
