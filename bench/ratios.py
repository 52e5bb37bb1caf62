"""Our figures over the bare limits of the same repetition."""

from collections.abc import Sequence
from typing import Final

from bench.report import Sample

# (workload of ours, or how its name begins; limit). What an element or a task needs at least one of.
RATIOS: Final = (
    ("no-op, 10,000 elements", "gRPC round trip over a unix socket"),
    ("single tasks, 16 in flight", "bare steps of a single task"),
    ("single tasks, 16 in flight", "apiserver create"),
    ("single tasks, 16 in flight", "apiserver patch"),
    ("single tasks, 16 in flight", "JetStream publish, 200 B"),
    ("single tasks, 16 in flight", "S3 put, 200 B"),
    ("collecting 10,000 results", "S3 get, 200 B"),
)


def ratios(
    samples: Sequence[Sample], ours: str = "ArmoniK for Kubernetes", bare: str = "bare"
) -> list[Sample]:
    """One for each repetition that has both."""
    found: list[Sample] = []
    for workload, limit in RATIOS:
        mine = [s.value for s in samples if (s.system, s.workload) == (ours, workload)]
        limits = [s.value for s in samples if (s.system, s.workload) == (bare, limit)]
        name = f"{workload} / {limit}"
        found += [Sample(name, ours, "ratio", a / b) for a, b in zip(mine, limits, strict=False)]
    return found
