"""The operator of a cluster: where it is, and its version."""

from typing import Final

from armonik_sdk.api.const import SERVICE_CONFIGURATION
from armonik_sdk.apiserver import CONFIG_MAPS, DEPLOYMENTS
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.views.reading import text
from armonik_sdk.client.errors import NotFound, Refused

OPERATOR: Final = "app.kubernetes.io/name=armonik,app.kubernetes.io/component=operator"
"""Labels of the operator's Deployment."""


async def operator_version(cluster: Cluster) -> str:
    """The operator's, as its Deployment says; empty where that cannot be read."""
    try:
        configuration = await cluster.get(CONFIG_MAPS, SERVICE_CONFIGURATION)
        namespace = text(configuration, "data", "operator-namespace")
        pages = cluster.kube.pages(DEPLOYMENTS, namespace or cluster.namespace, labels=OPERATOR)
        found = (await cluster.bounded(anext(pages))).get("items") or []
    except (NotFound, Refused):
        return ""
    return text(found[0], "metadata", "labels", "app.kubernetes.io/version") if found else ""
