"""`make soak-cluster`: users, adversary and checker on the installed release, for SOAK_MINUTES minutes.

Prints the seed first; the same seed makes the same users and the same acts, though not at the same moments.
Exit code 1 when anything was violated.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import secrets
import sys
import time
from pathlib import Path
from typing import Any

from release import apply, delete_namespace, helm, kubectl

from armonik_sdk.client import Client

from .adversary import Adversary
from .checker import StatusChecker, nothing_left
from .curves import Curves
from .ledger import Ledger
from .plan import session
from .users import User

log = logging.getLogger("soak")

USERS = 3
"""Users of each namespace, who live one session after the other."""
PODS = {"lab": 2, "own": 1}
GROWTH = 1.3
"""By how much the median of a curve's last quarter may exceed that of its second."""
MARGIN = {"MiB": 48.0, "messages": 2_000.0, "objects": 200.0}
"""What it may exceed it by in any case, in the curve's unit: noise of what lives at a moment."""
LAGGING = 0.01
"""Part of the operator's event loop ticks that may be late by more than 50 ms."""


async def soak(seed: int, minutes: float, pause: tuple[float, float], folder: Path) -> int:
    """The whole soak; the exit code."""
    print(f"seed {seed}, {minutes:g} minutes; again with SOAK_ARGS='--seed {seed}'", flush=True)
    ledger = Ledger()
    namespaces = [f"soak-{seed}-{letter}" for letter in "ab"]
    for namespace in namespaces:
        _prepare(namespace)
    curves, checker = Curves(namespaces), StatusChecker(ledger)
    deadline = time.monotonic() + 60 * minutes
    around = [asyncio.create_task(curves.run())]
    around += [asyncio.create_task(checker.watch(namespace)) for namespace in namespaces]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(Adversary(seed, namespaces, ledger).run(deadline, pause))
            for number, namespace in enumerate(namespaces):
                group.create_task(_users(seed, number, namespace, deadline, ledger))
    finally:
        for task in around:
            task.cancel()
        await asyncio.gather(*around, return_exceptions=True)
        _save(curves, folder / f"soak-{seed}")
    for namespace in namespaces:
        await asyncio.to_thread(delete_namespace, namespace)
        await asyncio.to_thread(nothing_left, namespace, ledger)
    _judge(curves, ledger)
    print(ledger.report())
    print(f"curves: {folder / f'soak-{seed}.svg'}")
    return 1 if ledger.violations else 0


async def _users(seed: int, number: int, namespace: str, deadline: float, ledger: Ledger) -> None:
    async with await Client.connect(namespace) as client, asyncio.TaskGroup() as group:
        for user in range(USERS):
            group.create_task(_lives(seed, number * USERS + user, client, deadline, ledger))


async def _lives(seed: int, user: int, client: Client, deadline: float, ledger: Ledger) -> None:
    number = 0
    while time.monotonic() < deadline:
        await User(client, ledger).live(session(seed, user, number))
        number += 1


def _prepare(namespace: str) -> None:
    """A namespace with a Partition of each kind of worker."""
    kubectl("create", "namespace", namespace)
    registry = json.loads(helm("get", "values", "armonik", "--all", "--output", "json"))["global"]
    images = {"lab": "armonik-worker-lab", "own": "armonik-worker-lab-own"}
    apply(*(_partition(namespace, name, f"{registry['imageRegistry']}/{images[name]}:dev") for name in PODS))


def _partition(namespace: str, name: str, image: str) -> dict[str, Any]:
    worker = {
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
    }
    return {
        "apiVersion": "armonik.io/v1alpha1",
        "kind": "Partition",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "podReserved": 1,
            "podMax": PODS[name],
            "template": {"spec": {"terminationGracePeriodSeconds": 10, "worker": worker}},
        },
    }


def _save(curves: Curves, stem: Path) -> None:
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_suffix(".svg").write_text(curves.svg())
    stem.with_suffix(".json").write_text(json.dumps(curves.lines))


def _judge(curves: Curves, ledger: Ledger) -> None:
    """Whether the curves are flat and the event loop was free."""
    for name, (early, late) in sorted(curves.flat().items()):
        print(f"{name}: median of the second quarter {early:.4g}, of the last {late:.4g}")
        margin = next((value for unit, value in MARGIN.items() if unit in name), 0.0)
        if margin and late > early * GROWTH and late > early + margin:
            ledger.violated(f"{name} grew from {early:.4g} to {late:.4g}")
    lagging, ticks = curves.lag()
    if ticks:
        print(f"event loop: {lagging:.0f} of {ticks:.0f} ticks were late by more than 50 ms")
    if ticks and lagging > ticks * LAGGING:
        ledger.violated(f"the operator's event loop was held: {lagging:.0f} of {ticks:.0f} ticks")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--pause", type=float, nargs=2, default=(15.0, 60.0), help="seconds between acts")
    parser.add_argument("--out", type=Path, default=Path("bench/out"))
    arguments = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    for noisy in ("nats", "armonik_sdk", "kubernetes"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(soak(arguments.seed, arguments.minutes, tuple(arguments.pause), arguments.out))
    return 130


if __name__ == "__main__":
    sys.exit(main())
