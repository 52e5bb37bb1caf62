"""Applies the CustomResourceDefinitions that the operator was built for, at start.

Helm installs a chart's `crds/` once and never upgrades them; so the operator does.
"""

import asyncio
import logging
from pathlib import Path
from typing import Any

import yaml

from armonik_operator.clients.kube import CRDS, Kube

log = logging.getLogger(__name__)


async def apply_crds(kube: Kube, folder: Path) -> list[str]:
    """Server-side-apply each file of the folder; returns the names of the definitions."""
    names = []
    for definition in await asyncio.to_thread(_read, folder):
        await kube.apply(CRDS, definition)
        names.append(definition["metadata"]["name"])
    log.info("custom resource definitions are up to date: %s", ", ".join(names))
    return names


def _read(folder: Path) -> list[dict[str, Any]]:
    return [yaml.safe_load(file.read_text()) for file in sorted(folder.glob("*.yaml"))]
