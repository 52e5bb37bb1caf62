"""The two ways an image is built and brought to the cluster: Docker with kind, buildah with containerd."""

from __future__ import annotations

import configparser
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from hack.cluster import choose
from hack.cluster.build import build_python_base
from hack.cluster.buildah import Buildah
from hack.cluster.prerequisites import IMAGE_PACKAGES, ensure_packages
from hack.cluster.settings import PYTHON_BASE_IMAGE, REPOSITORY, Cache, Instance
from hack.cluster.shell import run, succeeds

DOCKER_BASE = "docker.io/library/python:3.12-slim"
_BUILD_TIMEOUT = 1800.0
_PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

Arguments = tuple[tuple[str, str], ...]
"""Names and values for the Dockerfile's ARG lines."""


class Engine(Protocol):
    """What builds images and hands them over. Names are complete: `localhost/armonik-x:tag`."""

    base: str

    def has(self, image: str) -> bool:
        """Whether the engine's store holds the image."""

    def build(self, image: str, dockerfile: Path, arguments: Arguments, log: Path) -> None:
        """Build the image."""

    def tag(self, image: str, name: str) -> None:
        """Give an image a second name."""

    def push(self, image: str) -> None:
        """Send the image to the registry its name begins with."""

    def load(self, image: str, alias: str, instance: Instance) -> bool:
        """Give the image to the cluster's node, under both names; whether it was not there yet."""


class BuildahEngine:
    """buildah and the local cluster's containerd; starts from a base image made of Debian packages."""

    base = PYTHON_BASE_IMAGE

    def __init__(self, cache: Cache) -> None:
        ensure_packages(IMAGE_PACKAGES)
        build_python_base(cache)
        self._cache = cache
        self._buildah = Buildah(cache)

    def has(self, image: str) -> bool:
        """See `Engine`."""
        return bool(self._buildah.image_id(image))

    def build(self, image: str, dockerfile: Path, arguments: Arguments, log: Path) -> None:
        """See `Engine`. chroot isolation needs no rights that a container or a small machine lacks."""
        with _pip_configuration() as mounts:
            where = ["--network", "host", "--isolation", "chroot", *mounts]
            options = ["--layers", *_build_arguments(self.base, arguments)]
            options += ["--tag", image, "--file", str(dockerfile)]
            self._buildah.call("bud", *where, *options, REPOSITORY, timeout=_BUILD_TIMEOUT, log=log)

    def tag(self, image: str, name: str) -> None:
        """See `Engine`."""
        self._buildah.call("tag", image, name)

    def push(self, image: str) -> None:
        """See `Engine`."""
        self._buildah.call("push", image, timeout=_BUILD_TIMEOUT)

    def load(self, image: str, alias: str, instance: Instance) -> bool:
        """See `Engine`."""
        fresh = image not in run(*instance.ctr, "images", "list", "--quiet").split()
        if fresh:
            with tempfile.TemporaryDirectory(dir=self._cache.images) as folder:
                archive = Path(folder) / "image.tar"
                self._buildah.save(image, archive)
                run(*instance.ctr, "images", "import", archive, timeout=600)
        run(*instance.ctr, "images", "tag", "--force", image, alias)
        return fresh


class DockerEngine:
    """Docker; to the cluster with kind, or by a registry."""

    base = DOCKER_BASE

    def has(self, image: str) -> bool:
        """See `Engine`."""
        return succeeds("docker", "image", "inspect", image)

    def build(self, image: str, dockerfile: Path, arguments: Arguments, log: Path) -> None:
        """See `Engine`."""
        options = [*_build_arguments(self.base, arguments), "--tag", image, "--file", str(dockerfile)]
        buildkit = {"DOCKER_BUILDKIT": "1"}  # the old builder would copy the whole repository first
        run("docker", "build", *options, REPOSITORY, timeout=_BUILD_TIMEOUT, log=log, env=buildkit)

    def tag(self, image: str, name: str) -> None:
        """See `Engine`."""
        run("docker", "tag", image, name)

    def push(self, image: str) -> None:
        """See `Engine`."""
        run("docker", "push", image, timeout=_BUILD_TIMEOUT)

    def load(self, image: str, alias: str, instance: Instance) -> bool:
        """See `Engine`; kind itself skips what the node has."""
        choose.kind_load(instance, image)
        choose.kind_load(instance, alias)
        return True


def _build_arguments(base: str, arguments: Arguments) -> list[str]:
    named = [f"{name}={value}" for name, value in (("BASE", base), *arguments)]
    return [word for argument in named for word in ("--build-arg", argument)]


@contextmanager
def _pip_configuration() -> Iterator[list[str]]:
    """Options that lend the build this machine's way to its package index; the image keeps nothing of it."""
    settings = _pip_settings()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        mounts = []
        if settings:
            parser = configparser.RawConfigParser()
            parser["global"] = settings
            parser.write(file)
            file.flush()
            os.chmod(file.name, 0o644)  # noqa: PTH101 - the open temporary file is named by a string
            mounts += ["--volume", f"{file.name}:/etc/pip.conf:ro"]
        if _CERTIFICATES.exists():
            mounts += ["--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro"]
        yield mounts


def _pip_settings() -> dict[str, str]:
    """What this machine's files and environment tell pip about where packages come from."""
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
    if _CERTIFICATES.exists():
        settings["cert"] = str(_CERTIFICATES)
    return settings
