"""The version of a release. `sdk/pyproject.toml` has it; every other place repeats it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hack.cluster.shell import ClusterError

PACKAGES = ("sdk", "operator", "agent")
"""Folders of our distributions."""
_SDK = "armonik-k8s-sdk"


def release_version(root: Path) -> str:
    """The version of the tree below `root`.

    Raises:
        ClusterError: a place has another version; names each, and how to fix it.
    """
    wanted = str(_project(root, "sdk")["version"])
    wrong = [f"{place} has {found}" for place, found in _places(root) if found != wanted]
    if wrong:
        raise ClusterError(f"sdk/pyproject.toml has version {wanted}, but {', '.join(wrong)}: write {wanted}")
    return wanted


def _places(root: Path) -> Iterator[tuple[str, str]]:
    """Every place that repeats the version, and what it says."""
    for package in PACKAGES:
        project = _project(root, package)
        yield f"version in {package}/pyproject.toml", str(project["version"])
        for needed in project["dependencies"]:
            if needed.startswith(_SDK):
                # All three are released together: records and messages are their common contract.
                yield f"{_SDK} in {package}/pyproject.toml", needed.removeprefix(_SDK).removeprefix("==")
    chart = (root / "charts/armonik/Chart.yaml").read_text()
    for key in ("version", "appVersion"):
        found = re.search(rf'^{key}: "?([^"\n]+)"?$', chart, re.MULTILINE)
        yield f"{key} in charts/armonik/Chart.yaml", found[1] if found else "none"
    changes = re.findall(r"^## (\d\S*)", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    yield "the newest release in CHANGELOG.md", changes[0] if changes else "none"


def _project(root: Path, package: str) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((root / package / "pyproject.toml").read_text())["project"]
    return found
