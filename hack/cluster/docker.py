"""The Docker engine: whether it serves us, and if not the one line with the cause and its remedy."""

from __future__ import annotations

import re
import shutil

from .shell import ClusterError, run

_BUILDX = "buildx is missing, without which Docker builds no images: install {package}"


def problem() -> str:
    """What keeps us from using Docker; empty when nothing does."""
    if shutil.which("docker") is None:
        return "Docker is not installed (https://docs.docker.com/engine/install)"
    try:
        run("docker", "version", "--format", "{{.Server.Version}}", timeout=15)
    except ClusterError as error:
        return explain(str(error))
    return ""


def explain(said: str) -> str:
    """The cause, and its remedy, of an error of `docker version`."""
    if "permission denied" in said.lower():
        return "Docker refuses this user: run `sudo usermod -aG docker $USER`, then log in again"
    if "cannot connect" in said.lower() or "is the docker daemon running" in said.lower():
        return "Docker's engine does not run: run `sudo systemctl start docker`, or start Docker Desktop"
    return f"Docker does not answer: {' '.join(said.split()[-40:])}"


def check_builder() -> None:
    """See that Docker can build with BuildKit: since 23.0 that is a plugin with a package of its own.

    Raises:
        ClusterError: it cannot; names the package.
    """
    version = run("docker", "version", "--format", "{{.Client.Version}}").strip()
    if not needs_buildx(version):
        return
    try:
        run("docker", "buildx", "version")
    except ClusterError as error:
        package = "docker-buildx-plugin (Docker's packages) or docker-buildx (the distribution's)"
        raise ClusterError(_BUILDX.format(package=package)) from error


def needs_buildx(version: str) -> bool:
    """Whether a `docker` command of this version has no BuildKit of its own; true if it is unknown."""
    major = re.match(r"(\d+)\.", version)
    return major is None or int(major[1]) >= 23
