"""Building images where no Docker engine runs, in a store of our own inside the cache."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from .settings import Cache
from .shell import run, run_logged


class Buildah:
    """The image builder, bound to the cache's store."""

    def __init__(self, cache: Cache) -> None:
        self._store = cache.images / "store"
        self._store.mkdir(parents=True, exist_ok=True)

    def call(self, *words: str | Path, timeout: float = 300) -> str:
        """Run buildah on our store.

        Raises:
            ClusterError: it failed; carries the end of its output.
        """
        return run(*self._command, *words, timeout=timeout).strip()

    def call_logged(
        self, *words: str | Path, timeout: float, log: Path, follow: Callable[[str], None]
    ) -> None:
        """Run buildah on our store for long: its output goes to a file, and line by line to `follow`.

        Raises:
            ClusterError: it failed; carries the end of its output.
        """
        run_logged(*self._command, *words, timeout=timeout, log=log, follow=follow)

    @property
    def _command(self) -> list[str]:
        where = ["--root", str(self._store), "--runroot", "/run/armonik-buildah"]
        # Without this option the store stays mounted after the program has ended.
        options = ["--storage-driver", "overlay", "--storage-opt", "overlay.skip_mount_home=true"]
        return ["buildah", *where, *options]

    def image_id(self, name: str) -> str:
        """The id of an image of the store, empty when there is none of that name."""
        return self.call("images", "--quiet", "--no-trunc", "--filter", f"reference={name}").split("\n")[0]

    def from_scratch(self, name: str, files: dict[Path, str], config: list[str]) -> None:
        """Make an image that holds nothing but the given files (file → its path in the image)."""
        container = self.call("from", "scratch")
        try:
            for source, target in files.items():
                # ADD unpacks archives and takes a program as it is.
                self.call("add", "--quiet", container, source, target)
            self.call("config", *config, container)
            self.call("commit", "--quiet", container, name)
        finally:
            self.call("rm", container)

    def save(self, name: str, archive: Path) -> None:
        """Write an image as an archive, complete or not at all."""
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
            fresh = Path(folder) / archive.name
            # This format alone keeps layers as they are; gzip would only cost time here.
            self.call("push", "--quiet", name, f"docker-archive:{fresh}:{name}")
            fresh.rename(archive)
