"""Resource curves: what each part holds while the soak runs, as SVG and as numbers."""

from __future__ import annotations

import asyncio
import logging
import re
import statistics
import time
from xml.sax.saxutils import escape

from bench.cpu import ClusterCpu
from release import NAMESPACE, RELEASE, attempt, objects

from .census import census, streams

log = logging.getLogger(__name__)

PERIOD = 10.0
WIDTH, HEIGHT, LEFT, GAP = 860, 120, 70, 44
_LAG = re.compile(r"^armonik_event_loop_(?P<name>ticks|lagging_ticks|lag_seconds_count|lag_seconds_bucket)"
                  r"(?:_total)?(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$", re.MULTILINE)  # fmt: skip
_LONGEST = 0.05
"""Seconds that a handler may hold the event loop."""


class Curves:
    """Samples by name, each (seconds since the start, value)."""

    def __init__(self, namespaces: list[str]) -> None:
        self._namespaces = namespaces
        self._start = time.monotonic()
        self.lines: dict[str, list[tuple[float, float]]] = {}
        self._lag: dict[str, tuple[float, float]] = {}

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            try:
                found = await asyncio.to_thread(self._sample)
            except Exception as error:  # noqa: BLE001 - a stopped server: the curve has a gap
                log.info("no sample: %s: %s", type(error).__name__, error)
            else:
                now = time.monotonic() - self._start
                for name, value in found.items():
                    self.lines.setdefault(name, []).append((now, value))
            await asyncio.sleep(PERIOD)

    def lag(self) -> tuple[float, float]:
        """(lagging ticks, all ticks) of the operator's event loop, over all its processes."""
        return (
            sum(lagging for lagging, _ in self._lag.values()),
            sum(ticks for _, ticks in self._lag.values()),
        )

    def flat(self) -> dict[str, tuple[float, float]]:
        """Medians of each curve's second and last quarter."""
        found: dict[str, tuple[float, float]] = {}
        for name, line in self.lines.items():
            quarter = len(line) // 4
            if quarter:
                values = [value for _, value in line]
                found[name] = (
                    statistics.median(values[quarter : 2 * quarter]),
                    statistics.median(values[-quarter:]),
                )
        return found

    def _sample(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for partition in ("lab", "own"):
            for component, mib in ClusterCpu(partition).memory().items():
                held = f"RSS of {component}, MiB"
                found[held] = max(mib, found.get(held, 0.0))
        for stream, (messages, size) in streams(self._namespaces).items():
            found[f"{stream}, messages"] = messages
            found[f"{stream}, MiB"] = size / 2**20
        store = [census(namespace) for namespace in self._namespaces]
        found["objects in the store"] = sum(each["objects"] for each in store)
        found["MiB in the store"] = sum(each["bytes"] for each in store) / 2**20
        self._read_lag()
        lagging, ticks = self.lag()
        if ticks:
            found["ticks of the operator's loop above 50 ms, %"] = 100 * lagging / ticks
        return found

    def _read_lag(self) -> None:
        selector = f"app.kubernetes.io/component=operator,app.kubernetes.io/instance={RELEASE}"
        for pod in objects("pods", "--namespace", NAMESPACE, "--selector", selector):
            name = pod["metadata"]["name"]
            path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}:8080/proxy/metrics"
            answer = attempt("kubectl", "get", "--raw", path)
            if answer.returncode == 0 and (lag := lag_of(answer.stdout)) is not None:
                self._lag[pod["metadata"]["uid"]] = lag

    def svg(self) -> str:
        """All curves, one panel each."""
        height = (HEIGHT + GAP) * len(self.lines) + 8
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}">',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            '<g font-family="sans-serif" font-size="12">',
        ]
        for number, (name, line) in enumerate(sorted(self.lines.items())):
            parts += _panel(name, line, 8 + number * (HEIGHT + GAP))
        return "\n".join([*parts, "</g></svg>", ""])


def lag_of(text: str) -> tuple[float, float] | None:
    """(ticks that lagged more than 50 ms, ticks) in the operator's metrics; None if it counts none."""
    ticks, within = None, None
    for match in _LAG.finditer(text):
        value = float(match["value"])
        if match["name"] == "lag_seconds_count":
            ticks = value
        elif match["name"] == "lag_seconds_bucket":
            bound = dict(re.findall(r'(\w+)="([^"]*)"', match["labels"] or "")).get("le", "+Inf")
            if bound != "+Inf" and float(bound) == _LONGEST:
                within = value
    return None if ticks is None or within is None else (ticks - within, ticks)


def _panel(name: str, line: list[tuple[float, float]], top: int) -> list[str]:
    last, most = line[-1][0] or 1.0, max(value for _, value in line) or 1.0
    across, down = (WIDTH - LEFT - 20) / last, HEIGHT / most
    points = " ".join(f"{LEFT + x * across:.1f},{top + 18 + HEIGHT - y * down:.1f}" for x, y in line)
    base = top + 18 + HEIGHT
    return [
        f'<text x="8" y="{top + 12}" font-weight="bold">{escape(name)}</text>',
        f'<text x="8" y="{top + 30}">{most:.4g}</text><text x="8" y="{base}">0</text>',
        f'<path d="M{LEFT} {top + 18}V{base}H{WIDTH - 20}" fill="none" stroke="#999"/>',
        f'<text x="{WIDTH - 70}" y="{base + 14}">{last / 60:.0f} min</text>',
        f'<polyline points="{points}" fill="none" stroke="#1b6ca8" stroke-width="1.5"/>',
    ]
