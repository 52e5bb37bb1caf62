"""Command line: `python3 -m hack.dist [wheels] [chart] [images] [worker-python3.13 …]`; without a word, the first three.

Wheels of SDK, operator and agent, the chart's package, and archives of the images that the chart needs go to
`dist/`, each with the version of `sdk/pyproject.toml`, and their checksums to `dist/SHA256SUMS`. Images of
workers for plain Python functions have their Python in the tag, as the chart expects; one that is named adds
that of another Python.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
from pathlib import Path

from hack.cluster import choose
from hack.cluster.build import build_helm
from hack.cluster.settings import REPOSITORY, Cache
from hack.cluster.shell import ClusterError, locked, run
from hack.cluster.tools import helm
from hack.images.__main__ import HELM_VALUES, build
from hack.images.catalogue import IMAGES, Image
from hack.images.engines import choose_engine

from .version import PACKAGES, release_version

PARTS = ("wheels", "chart", "images")
WORKERS = tuple(image.name for image in IMAGES if image.python)


def main() -> int:
    """Do what the command line says; 1 when the user must fix something first."""
    parser = argparse.ArgumentParser(prog="python3 -m hack.dist", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join([*PARTS, *WORKERS]))
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "dist", help="instead of dist/")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - {*PARTS, *WORKERS}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    try:
        make(arguments.parts or PARTS, arguments.folder, Cache.from_environ())
    except ClusterError as error:
        print(f"[dist] error: {error}", file=sys.stderr)
        return 1
    return 0


def make(parts: list[str] | tuple[str, ...], folder: Path, cache: Cache) -> None:
    """Make these parts of the release.

    Raises:
        ClusterError: versions differ, or a program is missing or failed.
    """
    version = release_version(REPOSITORY)
    folder.mkdir(parents=True, exist_ok=True)
    if "wheels" in parts:
        _wheels(folder, cache)
    if "chart" in parts:
        _chart(folder, cache)
    images = [i for i in IMAGES if i.name in parts or ("images" in parts and i.name in HELM_VALUES)]
    if images:
        _images(images, folder, cache, version)
    made = sorted(file for file in folder.iterdir() if version in file.name)
    sums = [f"{_sha256(file)}  {file.name}\n" for file in made]
    (folder / "SHA256SUMS").write_text("".join(sums))
    for file in made:
        print(f"{file.stat().st_size / 1024:>9,.0f} KiB  {file.name}")


def _wheels(folder: Path, cache: Cache) -> None:
    for package in PACKAGES:
        run(find_uv(cache), "build", "--quiet", "--wheel", "--out-dir", folder, REPOSITORY / package, timeout=600)


def _chart(folder: Path, cache: Cache) -> None:
    if not helm(cache):
        build_helm(cache)
    run(helm(cache), "package", REPOSITORY / "charts/armonik", "--destination", folder)


def _images(images: list[Image], folder: Path, cache: Cache, version: str) -> None:
    """Archives that `docker load`, `podman load` and `ctr images import` read."""
    engine = choose_engine(choose.choose_driver(), cache)
    with locked(cache.images / "lock"):
        for image in images:
            built = build(engine, image, cache)
            tag = image.release_tag(version, engine.python)
            name = f"localhost/{image.repository}:{tag}"
            engine.tag(built, name)
            engine.save(name, folder / f"{image.repository}-{tag}.tar")


def find_uv(cache: Cache) -> str:
    """The machine's uv, else the one that `make venv` has installed."""
    ours = cache.root / "uv-tool/bin/uv"
    found = shutil.which("uv") or (str(ours) if os.access(ours, os.X_OK) else "")
    if not found:
        raise ClusterError("uv is not installed: run `make venv`, which brings it")
    return found


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
