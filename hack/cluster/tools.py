"""The programs that talk to a cluster, and their files."""

from __future__ import annotations

import shutil
from pathlib import Path

from .settings import REPOSITORY, Cache
from .shell import ClusterError


def kubectl() -> list[str]:
    """How to call kubectl: the one of our virtual environment, else the machine's.

    Raises:
        ClusterError: there is none.
    """
    ours = REPOSITORY / ".venv/bin/kubectl"
    found = str(ours) if ours.exists() else shutil.which("kubectl")
    if found is None:
        raise ClusterError("kubectl is not installed: run `make venv`, which installs it")
    return [found]


def helm(cache: Cache) -> str:
    """Helm's path: the one built into the cache, else the machine's (empty when neither is there yet)."""
    ours = cache.bin / "helm"
    return str(ours) if ours.exists() else shutil.which("helm") or ""


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
