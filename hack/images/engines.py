"""The two ways an image is built and brought to the cluster: Docker with kind, buildah with containerd."""

from __future__ import annotations

import configparser
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from hack.cluster import docker, kind
from hack.cluster.build import build_python_base
from hack.cluster.buildah import Buildah
from hack.cluster.prerequisites import IMAGE_PACKAGES, can_run_locally, ensure_packages
from hack.cluster.progress import BOARD, Steps
from hack.cluster.settings import LOCAL_PYTHON, REPOSITORY, Cache, Instance
from hack.cluster.shell import ClusterError, run, run_logged, say, succeeds

DOCKER_BASE = "docker.io/library/python:{}-slim"
DOCKER_PYTHON = "3.12"
_BUILD_TIMEOUT = 1800.0
_PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

Arguments = tuple[tuple[str, str], ...]
"""Names and values for the Dockerfile's ARG lines."""


class Engine(Protocol):
    """What builds images and hands them over. Names are complete: `localhost/armonik-x:tag`."""

    python: str
    """Of images for which none is named, `3.12`."""

    def base(self, python: str = "") -> str:
        """Name of the image that those of a Python start from, which is made if it must be.

        Raises:
            ClusterError: it cannot be made.
        """

    def has(self, image: str) -> bool:
        """Whether the engine's store holds the image."""

    def build(
        self, image: str, dockerfile: Path, arguments: Arguments, log: Path, programs: Path | None = None
    ) -> None:
        """Build the image; `programs`: a folder that the Dockerfile copies from by this name."""

    def tag(self, image: str, name: str) -> None:
        """Give an image a second name."""

    def push(self, image: str) -> None:
        """Send the image to the registry its name begins with."""

    def save(self, image: str, archive: Path) -> None:
        """Write the image as an archive in Docker's format, under this name."""

    def load(self, images: dict[str, str], instance: Instance) -> list[str]:
        """Give images to the cluster's node, each under a second name too (image → second name).

        Returns:
            Those that were not there yet.
        """


def choose_engine(driver: str, cache: Cache) -> Engine:
    """Docker, or buildah where there is none and it can run.

    Raises:
        ClusterError: there is neither, or Docker cannot build.
    """
    problem = (
        docker.problem() if driver != "local" else "the local control plane is given its images by buildah"
    )
    if not problem:
        docker.check_builder()
        return DockerEngine()
    if driver == "local" or (driver == "context" and can_run_locally()):
        return BuildahEngine(cache)
    raise ClusterError(f"images are built with Docker, or as root on Debian with buildah: {problem}")


class BuildahEngine:
    """buildah and the local cluster's containerd; starts from a base image made of Debian packages."""

    python = LOCAL_PYTHON

    def __init__(self, cache: Cache) -> None:
        ensure_packages(IMAGE_PACKAGES)
        self._cache = cache
        self._buildah = Buildah(cache)
        self._bases: dict[str, str] = {}

    def base(self, python: str = "") -> str:
        """See `Engine`."""
        chosen = python or self.python
        if chosen not in self._bases:
            self._bases[chosen] = build_python_base(self._cache, chosen)
        return self._bases[chosen]

    def has(self, image: str) -> bool:
        """See `Engine`."""
        return bool(self._buildah.image_id(image))

    def build(
        self, image: str, dockerfile: Path, arguments: Arguments, log: Path, programs: Path | None = None
    ) -> None:
        """See `Engine`. chroot isolation needs no rights that a container or a small machine lacks."""
        with _lent() as lent:
            where = ["--network", "host", "--isolation", "chroot", *_secrets(lent)]
            options = ["--layers", *_build_arguments(arguments), *_context(programs)]
            options += ["--tag", image, "--file", str(dockerfile)]
            command = ["bud", *where, *options, str(REPOSITORY)]
            with BOARD.job(image, Steps()) as job:
                self._buildah.call_logged(*command, timeout=_BUILD_TIMEOUT, log=log, follow=job.read)

    def tag(self, image: str, name: str) -> None:
        """See `Engine`."""
        self._buildah.call("tag", image, name)

    def push(self, image: str) -> None:
        """See `Engine`."""
        self._buildah.call("push", image, timeout=_BUILD_TIMEOUT)

    def save(self, image: str, archive: Path) -> None:
        """See `Engine`."""
        self._buildah.save(image, archive)

    def load(self, images: dict[str, str], instance: Instance) -> list[str]:
        """See `Engine`."""
        there = set(run(*instance.ctr, "images", "list", "--quiet").split())
        fresh = [image for image in images if image not in there]
        for image in fresh:
            with tempfile.TemporaryDirectory(dir=self._cache.images) as folder:
                archive = Path(folder) / "image.tar"
                self._buildah.save(image, archive)
                run(*instance.ctr, "images", "import", archive, timeout=600)
            say(f"loaded {image}")
        for image, alias in images.items():
            run(*instance.ctr, "images", "tag", "--force", image, alias)
        return fresh


class DockerEngine:
    """Docker; to the cluster with kind, or by a registry."""

    python = DOCKER_PYTHON

    def base(self, python: str = "") -> str:
        """See `Engine`."""
        return DOCKER_BASE.format(python or self.python)

    def has(self, image: str) -> bool:
        """See `Engine`."""
        return succeeds("docker", "image", "inspect", image)

    def build(
        self, image: str, dockerfile: Path, arguments: Arguments, log: Path, programs: Path | None = None
    ) -> None:
        """See `Engine`."""
        options = [*_build_arguments(arguments), *_context(programs)]
        options += ["--tag", image, "--file", str(dockerfile)]
        environment = {
            "DOCKER_BUILDKIT": "1",  # the old builder would copy the whole repository first
            "BUILDKIT_PROGRESS": "plain",
            # With an attestation an image is a list of two, of which `kind load` cannot find the second.
            "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
        }
        with _lent() as lent, BOARD.job(image, Steps()) as job:
            command = ["docker", "build", *options, *_secrets(lent), str(REPOSITORY)]
            run_logged(*command, timeout=_BUILD_TIMEOUT, log=log, env=environment, follow=job.read)

    def tag(self, image: str, name: str) -> None:
        """See `Engine`."""
        run("docker", "tag", image, name)

    def push(self, image: str) -> None:
        """See `Engine`."""
        run("docker", "push", image, timeout=_BUILD_TIMEOUT)

    def save(self, image: str, archive: Path) -> None:
        """See `Engine`."""
        run("docker", "save", "--output", archive, image, timeout=_BUILD_TIMEOUT)

    def load(self, images: dict[str, str], instance: Instance) -> list[str]:
        """See `Engine`; one call of kind for all of them."""
        fresh = kind.load(instance, images)
        for image in fresh:
            say(f"loaded {image}")
        return fresh


def _build_arguments(arguments: Arguments) -> list[str]:
    named = [f"{name}={value}" for name, value in arguments]
    return [word for argument in named for word in ("--build-arg", argument)]


def _context(programs: Path | None) -> list[str]:
    return ["--build-context", f"programs={programs}"] if programs else []


@contextmanager
def _lent() -> Iterator[dict[str, Path]]:
    """Files that give the build this machine's package index settings, by their ids in the Dockerfiles.

    They are given as secrets: the image keeps nothing of them.
    """
    settings = _pip_settings()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        lent = {}
        if _CERTIFICATES.exists():
            settings["cert"] = "/run/secrets/ca"
            lent["ca"] = _CERTIFICATES
        if settings:
            parser = configparser.RawConfigParser()
            parser["global"] = settings
            parser.write(file)
            file.flush()
            lent["pip"] = Path(file.name)
        yield lent


def _secrets(lent: dict[str, Path]) -> list[str]:
    return [word for name, file in lent.items() for word in ("--secret", f"id={name},src={file}")]


def _pip_settings() -> dict[str, str]:
    """Pip's settings, of this machine's files and environment, for where packages come from."""
    settings: dict[str, str] = {}
    for path in (Path("/etc/pip.conf"), Path.home() / ".pip/pip.conf", Path.home() / ".config/pip/pip.conf"):
        parser = configparser.RawConfigParser()
        parser.read(path)
        for section in ("global", "install"):
            if parser.has_section(section):
                settings |= {key: value for key, value in parser[section].items() if key in _PIP_SETTINGS}
    for key in _PIP_SETTINGS:
        value = os.environ.get(f"PIP_{key.replace('-', '_').upper()}")
        if value:
            settings[key] = value
    return settings
