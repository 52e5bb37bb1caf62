"""What two statuses of a Task, one after the other, must agree on. Pure."""

from __future__ import annotations

from typing import Any

from armonik_sdk.api.ranges import Ranges

_FINAL = ("Completed", "Error", "Timeout", "Cancelled")
_ENDED = ("succeeded", "failed", "timedOut", "cancelled")


def wrong(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What the newer of two statuses of a Task breaks; both as JSON."""
    found: list[str] = []
    if before.get("phase") in _FINAL and now.get("phase") != before["phase"]:
        found.append(f"phase went from {before['phase']} to {now.get('phase')}")
    if (e := now.get("journalEpoch", 0)) < (b := before.get("journalEpoch", 0)):
        found.append(f"journalEpoch went back from {b} to {e}")
    sets = {kind: Ranges.parse(now.get(f"{kind}Indexes", "")) for kind in _ENDED}
    counts = now.get("elements") or {}
    for kind, indexes in sets.items():
        if Ranges.parse(before.get(f"{kind}Indexes", "")) - indexes:
            found.append(f"{kind}Indexes lost some: {before.get(f'{kind}Indexes')} -> {indexes}")
        if counts and counts.get(kind, 0) != len(indexes):
            found.append(f"elements.{kind} is {counts.get(kind, 0)}, {kind}Indexes has {len(indexes)}")
    if counts:
        parts = sum(counts.get(kind, 0) for kind in (*_ENDED, "pending", "queued", "running"))
        if parts != counts.get("total"):
            found.append(f"the counts add up to {parts}, not to {counts.get('total')}")
    return found
