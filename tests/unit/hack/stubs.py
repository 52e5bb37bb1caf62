"""Stubs of a machine's programs: they write down how they are called and answer as a test says."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
from hack.images import engines

_VARIABLES = ("KUBECONTEXT", "ARMONIK_CLUSTER_DRIVER", "ARMONIK_CLUSTER", "ARMONIK_IMAGE_REGISTRY", "GOBIN")
DOCKER_28 = {
    "version --format {{.Server.Version}}": "echo 28.5.1",
    "version --format {{.Client.Version}}": "echo 28.5.1",
}


class Machine:
    """A PATH with stubs alone, and a cache of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cache = folder / "cache"
        self._programs = folder / "programs"
        self._programs.mkdir(parents=True)
        self._calls = folder / "calls"
        self.patch = monkeypatch
        for name in _VARIABLES:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("ARMONIK_CACHE", str(self.cache))
        for name in ("rm", "mkdir", "cat", "touch"):
            (self._programs / name).symlink_to(str(shutil.which(name)))
        monkeypatch.setenv("PATH", str(self._programs))

    def has(self, name: str, answers: dict[str, str] | None = None) -> None:
        """Install a program: beginning of its arguments → shell commands; with all others it succeeds."""
        cases = "".join(f"{shlex.quote(words)}*) {does} ;;\n" for words, does in (answers or {}).items())
        program = self._programs / name
        program.write_text(
            f'#!/bin/sh\necho {name} "$*" >> {self._calls}\ncase "$*" in\n{cases}*) : ;;\nesac\n'
        )
        program.chmod(0o755)

    def calls(self, beginning: str = "") -> list[str]:
        """How programs were called, in order."""
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        return [line for line in lines if line.startswith(beginning)]


# Both make the archive that they are asked for.
MMDEBSTRAP = 'for word; do last=$word; done; : > "$last"'
BUILDAH = 'for w; do case "$w" in docker-archive:*) f="${w#docker-archive:}"; : > "${f%%:*}" ;; esac; done'


@pytest.fixture
def offline(machine: Machine) -> Machine:
    """A Debian machine with buildah, whose store is empty."""
    machine.patch.setattr(engines, "ensure_packages", lambda packages: None)
    machine.patch.setenv("ARMONIK_CLUSTER_DRIVER", "local")
    machine.has("mmdebstrap", {"--variant": MMDEBSTRAP})
    machine.has("buildah", {"--root": BUILDAH})
    machine.has("apt-config")
    return machine


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path / "machine", monkeypatch)
