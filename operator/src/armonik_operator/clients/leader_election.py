"""Leader election with a Lease: acquired before anything is written, renewed while the process runs.

Two operators for some seconds do no harm (the apiserver refuses a status that goes back), so losing the
Lease simply ends the process; Kubernetes starts it again and it waits for its turn. An operator that ends
by itself gives the Lease back, so that the next one need not wait until it expires.
"""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

from armonik_operator.clients.kube import LEASES, Kube
from armonik_operator.errors import AlreadyExists, Conflicted, KubeError, KubeUnavailable, LeaseLost, NotFound

log = logging.getLogger(__name__)

DURATION = 15
"""Seconds after the last renewal at which others may take the Lease."""
RENEW = 5
"""Seconds between renewals."""
RELEASE = 3.0
"""Seconds that giving it back may take."""


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def free(spec: dict[str, Any], holder: str, now: datetime) -> bool:
    """Whether `holder` may take a Lease with this spec."""
    renewed = spec.get("renewTime")
    if not spec.get("holderIdentity") or spec["holderIdentity"] == holder or not renewed:
        return True
    age = (now - datetime.fromisoformat(renewed)).total_seconds()
    return age > float(spec.get("leaseDurationSeconds", DURATION))


async def acquire(kube: Kube, namespace: str, name: str, holder: str) -> None:
    """Return once this process holds the Lease."""
    while True:
        try:
            await _take(kube, namespace, name, holder)
        except (AlreadyExists, Conflicted, LeaseLost, KubeUnavailable) as taken:
            log.info("waiting for the lease %s/%s: %s", namespace, name, taken)
            await asyncio.sleep(RENEW)
        else:
            log.info("holding the lease %s/%s as %s", namespace, name, holder)
            return


async def keep(kube: Kube, namespace: str, name: str, holder: str) -> None:
    """Renew until cancelled.

    Raises:
        LeaseLost: another holder has it, or it could not be renewed while it was valid.
    """
    renewed = asyncio.get_running_loop().time()
    while True:
        await asyncio.sleep(RENEW)
        try:
            async with asyncio.timeout(RENEW):  # a renewal that is answered later than that comes too late
                await _take(kube, namespace, name, holder)
            renewed = asyncio.get_running_loop().time()
        except (AlreadyExists, Conflicted, KubeUnavailable, TimeoutError) as error:
            if asyncio.get_running_loop().time() - renewed > DURATION:
                raise LeaseLost(f"lease {namespace}/{name} could not be renewed: {error}") from error
            log.warning("lease %s/%s not renewed, trying again: %s", namespace, name, error)


async def release(kube: Kube, namespace: str, name: str, holder: str) -> None:
    """Release the Lease if this process holds it. If that fails, the Lease expires."""
    try:
        async with asyncio.timeout(RELEASE):
            lease = await kube.get(LEASES, name, namespace)
            if lease.get("spec", {}).get("holderIdentity") == holder:
                meta = {"resourceVersion": lease["metadata"]["resourceVersion"]}
                await kube.patch(LEASES, name, {"metadata": meta, "spec": {"holderIdentity": ""}}, namespace)
    except (TimeoutError, KubeError, KubeUnavailable) as error:
        log.warning("lease %s/%s not released: %s", namespace, name, error)


async def _take(kube: Kube, namespace: str, name: str, holder: str) -> None:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": DURATION, "renewTime": _now()}
    try:
        lease = await kube.get(LEASES, name, namespace)
    except NotFound:
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name},
            "spec": spec,
        }
        await kube.create(LEASES, body, namespace)
        return
    if not free(lease.get("spec", {}), holder, datetime.now(UTC)):
        raise LeaseLost(f"{lease['spec']['holderIdentity']} holds the lease {namespace}/{name}")
    version = lease["metadata"]["resourceVersion"]
    await kube.patch(LEASES, name, {"metadata": {"resourceVersion": version}, "spec": spec}, namespace)
