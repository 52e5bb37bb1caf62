"""`helm template` as a function from values to objects."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
CHART = REPOSITORY / "charts" / "armonik"
NAMESPACE = "armonik-system"
KUBE_VERSION = "1.34.4"

Object = dict[str, Any]
Values = dict[str, Any]


class ChartRefusedError(Exception):
    """Helm did not render; the message is what it printed."""


class Helm:
    """The Helm program, and what of it the tests use."""

    def __init__(self, program: str) -> None:
        self._program = program

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Standard output of a Helm command."""
        done = subprocess.run(
            [self._program, *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise ChartRefusedError(done.stderr)
        return done.stdout

    def render(
        self, values: Values | None = None, *, release: str = "armonik", files: tuple[str, ...] = ()
    ) -> list[Object]:
        """All objects of the chart, hooks and tests included, the kinds of crds/ not."""
        stacked = [argument for file in files for argument in ("--values", str(CHART / file))]
        text = self.run(
            *("template", release, str(CHART), "--namespace", NAMESPACE, "--kube-version", KUBE_VERSION),
            *(*stacked, "--values", "-"),
            stdin=yaml.safe_dump(values or {}),
        )
        return [found for found in yaml.safe_load_all(text) if found]


@pytest.fixture(scope="session")
def helm() -> Helm:
    return Helm(_program())


def _program() -> str:
    cache = Path(os.environ.get("ARMONIK_CACHE") or Path.home() / ".cache/armonik-k8s")
    for candidate in (os.environ.get("ARMONIK_HELM"), cache / "bin" / "helm", shutil.which("helm")):
        if candidate and Path(candidate).exists():
            return str(candidate)
    # The repository's own way to have Helm where nobody installed it; a minute, once.
    subprocess.run(
        [
            sys.executable,
            "-c",
            "from hack.cluster import build, settings; build.build_helm(settings.Cache.from_environ())",
        ],
        cwd=REPOSITORY,
        timeout=280,
        check=True,
    )
    return str(cache / "bin" / "helm")


def named(objects: list[Object], kind: str, name: str, namespace: str | None = None) -> Object:
    """The one object of that kind and name."""
    found = [
        o
        for o in objects
        if (o["kind"], o["metadata"]["name"]) == (kind, name)
        and namespace in (None, o["metadata"].get("namespace"))
    ]
    assert len(found) == 1, f"{kind} {namespace or ''}/{name}: {len(found)} of them"
    return found[0]


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    """All objects of these kinds."""
    return [o for o in objects if o["kind"] in kinds]


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Every pod spec of the chart's own, with the name of what makes it."""
    for found in objects:
        where = f"{found['kind']}/{found['metadata']['name']}"
        if found["kind"] == "Pod":
            yield where, found["spec"]
        elif found["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield where, found["spec"]["template"]["spec"]


def environment(container: Object) -> dict[str, str]:
    """The plain variables of a container."""
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


def hooks(found: Object) -> list[str]:
    """The Helm events at which the object is made; empty for an ordinary one."""
    return [h for h in found["metadata"].get("annotations", {}).get("helm.sh/hook", "").split(",") if h]
