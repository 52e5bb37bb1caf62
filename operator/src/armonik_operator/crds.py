"""The operator carries the CustomResourceDefinitions it was built for and applies them at start.

Helm installs a chart's `crds/` once and never upgrades them; so the operator does.
"""

import logging
from pathlib import Path

import yaml

from armonik_operator.adapters.kube import CRDS, Kube

log = logging.getLogger(__name__)


async def apply_crds(kube: Kube, folder: Path) -> list[str]:
    """Server-side-apply each file of the folder; returns the names of the definitions."""
    names = []
    for file in sorted(folder.glob("*.yaml")):
        definition = yaml.safe_load(file.read_text())
        await kube.apply(CRDS, definition)
        names.append(definition["metadata"]["name"])
    log.info("custom resource definitions are up to date: %s", ", ".join(names))
    return names
