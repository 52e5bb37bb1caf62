"""Preemption between Partitions of a namespace: which gives up how many pods to which. Pure.

A Partition whose pods find no room asks. Those of lower priority make no more pods than they keep, and drain
what the asker lacks, the lowest first. Each keeps its floor, and what its `preemptionPercentage` leaves it of
the pods that its own work wants.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from armonik_sdk.api.kinds import PartitionSpec


@dataclass(frozen=True)
class Footprint:
    """Facts about a Partition that count when room is scarce."""

    priority: int
    keeps: int
    """Pods that nobody takes from it."""
    pods: int = 0
    """Pods that hold room and are to stay."""
    leaving: int = 0
    """Pods that hold room and are on their way out, or have left just now."""
    asks: int = 0
    """Pods that find no room."""


@dataclass(frozen=True)
class Preemption:
    """What a Partition does for those of higher priority."""

    to: str = ""
    """The most urgent Partition that asks; empty when none does."""
    pods: int = 0
    """Number of pods to remove now."""


def kept(spec: PartitionSpec, want: int) -> int:
    """The number of `want` pods that Partitions of higher priority do not take."""
    return max(spec.pod_reserved, ceil(want * (100 - spec.preemption_percentage) / 100))


def concessions(shares: Mapping[str, Footprint]) -> dict[str, Preemption]:
    """What each Partition of a namespace concedes; Partitions that need to concede nothing are left out."""
    order = sorted(shares, key=lambda name: (shares[name].priority, name))
    asking = [name for name in reversed(order) if shares[name].asks > 0]
    leaving = {name: share.leaving for name, share in shares.items()}
    spare = {name: max(0, share.pods - share.keeps) for name, share in shares.items()}
    given = dict.fromkeys(shares, 0)
    for asker in asking:
        lower = [name for name in order if shares[name].priority < shares[asker].priority]
        need = shares[asker].asks
        for name in lower:  # what is on its way comes first
            taken = min(need, leaving[name])
            leaving[name] -= taken
            need -= taken
        for name in lower:
            taken = min(need, spare[name])
            spare[name] -= taken
            given[name] += taken
            need -= taken
    preemptions = {}
    for name in order:
        above = [asker for asker in asking if shares[asker].priority > shares[name].priority]
        if above:
            preemptions[name] = Preemption(above[0], given[name])
    return preemptions
