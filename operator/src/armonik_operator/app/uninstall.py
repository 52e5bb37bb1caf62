"""`python -m armonik_operator.app.uninstall --stage …`: what `helm uninstall` cannot do by itself.

Before the release goes: the operator is stopped, else it would put its finalizers back; then Sessions lose
the finalizer, so that a namespace can always be deleted, and worker pods go, since nothing would feed them.
With purging, everything the operator made goes too; the definitions of the kinds go last, after Helm deleted
its own objects, unless another installation on the cluster uses them: with a definition go all its objects.
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Mapping

from armonik_operator.clients.kube import (
    CONFIG_MAPS,
    CRDS,
    DEPLOYMENTS,
    PARTITIONS,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SESSIONS,
    TASKS,
    Kube,
)
from armonik_operator.errors import KubeError, NotFound, OperatorError
from armonik_sdk.api.const import (
    AGENT_SECRET,
    AGENT_SERVICE_ACCOUNT,
    API_GROUP,
    CA_SECRET,
    CLIENT_SECRET,
    PARTITION_LABEL,
    SERVICE_CONFIGURATION,
    SESSION_FINALIZER,
    TLS_SECRETS,
)
from armonik_sdk.json_logs import configure_logs

log = logging.getLogger(__name__)

TIMEOUT = 220.0
"""Seconds for one stage; the hook's Job gives it 240."""


async def stage(kube: Kube, name: str, environ: Mapping[str, str]) -> None:
    """Run one stage; may be repeated."""
    purging = environ.get("ARMONIK_PURGE") == "true"
    if name == "pre-delete":
        await _pre_delete(kube, environ, purging)
    elif purging:
        await _delete_kinds(kube)


async def _pre_delete(kube: Kube, environ: Mapping[str, str], purging: bool) -> None:
    namespace = environ["ARMONIK_NAMESPACE"]
    await _stop_operator(kube, namespace, environ)
    watched: list[str | None] = [n for n in environ.get("ARMONIK_WATCH_NAMESPACES", "").split(",") if n]
    used: set[str] = set()
    for space in watched or [None]:
        try:
            sessions = await kube.list(SESSIONS, space)
            others = (
                [obj for kind in (PARTITIONS, TASKS) for obj in await kube.list(kind, space)]
                if purging
                else []
            )
        except NotFound:
            log.info("the kinds are not known any more; nothing to do")
            return
        used |= {obj["metadata"]["namespace"] for obj in (*sessions, *others)}
        for session in sessions:
            meta = session["metadata"]
            left = [entry for entry in meta.get("finalizers", []) if entry != SESSION_FINALIZER]
            if left != meta.get("finalizers", []):
                body = {"metadata": {"uid": meta["uid"], "finalizers": left}}
                await kube.patch(SESSIONS, meta["name"], body, meta["namespace"])
        for pod in await kube.list(PODS, space, labels=PARTITION_LABEL):
            await kube.delete(PODS, pod["metadata"]["name"], pod["metadata"]["namespace"])
    if purging:
        await _purge(kube, namespace, used, environ)


async def _stop_operator(kube: Kube, namespace: str, environ: Mapping[str, str]) -> None:
    try:
        await kube.patch(DEPLOYMENTS, environ["ARMONIK_DEPLOYMENT"], {"spec": {"replicas": 0}}, namespace)
    except NotFound:
        log.info("the operator's deployment is gone already")
    labels = f"app.kubernetes.io/component=operator,app.kubernetes.io/instance={environ['ARMONIK_RELEASE']}"
    while await kube.list(PODS, namespace, labels=labels):  # noqa: ASYNC110 - the apiserver sets no event
        await asyncio.sleep(1.0)


async def _purge(kube: Kube, namespace: str, used: set[str], environ: Mapping[str, str]) -> None:
    for space in sorted(used):
        for kind in (TASKS, SESSIONS, PARTITIONS):
            for obj in await kube.list(kind, space):
                await kube.delete(kind, obj["metadata"]["name"], space)
        await kube.delete(SERVICE_ACCOUNTS, AGENT_SERVICE_ACCOUNT, space)
        await kube.delete(SECRETS, AGENT_SECRET, space)
        await kube.delete(SECRETS, CLIENT_SECRET, space)
        await kube.delete(CONFIG_MAPS, SERVICE_CONFIGURATION, space)
    servers = (environ.get("ARMONIK_NATS_SECRET"), environ.get("ARMONIK_S3_SECRET"))
    for name in (*servers, CA_SECRET, *TLS_SECRETS.values()):
        if name:
            await kube.delete(SECRETS, name, namespace)


async def _delete_kinds(kube: Kube) -> None:
    """All three or none: they belong to every installation on the cluster."""
    for kind in (PARTITIONS, SESSIONS, TASKS):  # the fewest first: one is enough
        try:
            left = [obj["metadata"] for obj in await kube.list(kind)]
        except NotFound:
            continue  # an earlier try deleted it
        staying = [f"{meta['namespace']}/{meta['name']}" for meta in left if "deletionTimestamp" not in meta]
        if staying:
            log.warning("the kinds are kept, for others use them: there is %s %s", kind.plural, staying[0])
            return
    for kind in (TASKS, SESSIONS, PARTITIONS):
        await kube.delete(CRDS, f"{kind.plural}.{API_GROUP}")


async def _run(name: str) -> int:
    kube = await Kube.connect()
    try:
        async with asyncio.timeout(TIMEOUT):
            await stage(kube, name, os.environ)
    except (TimeoutError, KubeError, OperatorError) as error:
        log.exception("clean-up failed: %s", type(error).__name__)
        return 1
    finally:
        await kube.close()
    return 0


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", choices=("pre-delete", "post-delete"), required=True)
    arguments = parser.parse_args()
    configure_logs("INFO")
    return asyncio.run(_run(arguments.stage))


if __name__ == "__main__":
    sys.exit(main())
