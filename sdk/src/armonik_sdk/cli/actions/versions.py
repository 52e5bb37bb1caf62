"""Versions of this program, of its API, and of the operator."""

import importlib.metadata
import platform
from typing import TYPE_CHECKING

from armonik_sdk.api.const import GROUP_VERSION
from armonik_sdk.cli.forms.installation import ClientVersion, Version
from armonik_sdk.cli.frame.settings import Settings
from armonik_sdk.cli.output.remarks import write_facts, write_form

if TYPE_CHECKING:
    from armonik_sdk.cli.cluster.access import Cluster


async def show(cluster: "Cluster") -> None:
    """Write them all.

    Raises:
        Unavailable: the apiserver does not answer.
    """
    from armonik_sdk.cli.cluster.operator import operator_version  # `--client` connects to nothing

    write(cluster.settings, operator=await operator_version(cluster))


def write(settings: Settings, operator: str | None) -> None:
    """Write them; without an operator, of this program alone."""
    client = ClientVersion(
        version=importlib.metadata.version("armonik-k8s-sdk"), python=platform.python_version()
    )
    if write_form(settings, Version(client=client, api=GROUP_VERSION, operator=operator)):
        return
    facts = [("client", client.version), ("Python", client.python), ("API", GROUP_VERSION)]
    if operator is not None:
        facts.append(("operator", operator or "unknown: its Deployment cannot be read"))
    write_facts(facts)
