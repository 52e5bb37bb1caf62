"""Packages for functions: installed here by uv, for the Python and the platform of the workers."""

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from armonik_sdk.aio.calls.target import IMAGE, Target
from armonik_sdk.functions import Archive, CodeTooLarge, PackagesNotInstalled, SourceFile, archive

log = logging.getLogger("armonik_sdk")

Wanted = Sequence[str] | Path
"""Requirements, or a file: `uv.lock`, or one of requirements."""
INSTALL_SECONDS: Final = 900.0
MAX_INSTALLED_BYTES: Final = 1024**3
"""Of the files of all packages: what a worker unpacks at most."""
CACHE_BYTES: Final = 4 * 1024**3
"""Of installed packages and archives that are kept on this machine; the least recently used go first."""
ABANDONED_SECONDS: Final = 24 * 3600.0
SHOWN: Final = 2000
"""Characters of what uv said that an error repeats."""
OTHER_FILES: Final = ("-r", "-c", "-e", "--requirement", "--constraint", "--editable")


def cache_folder() -> Path:
    """Where packages and archives are kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "armonik" / "env"


def install(wanted: Wanted, target: Target, cache: Path) -> list[SourceFile]:
    """The files of these packages, installed once for equal requirements.

    Raises:
        TypeError: it is neither a list nor a path.
        FileNotFoundError: the file is not there.
        ValueError: a requirement names another file.
        PackagesNotInstalled: uv is not there, or cannot install them; says why.
        CodeTooLarge: they are more than the bound.
    """
    if isinstance(wanted, str):
        raise TypeError(f"packages: a list of requirements, or a Path of a file, not {wanted!r}")
    asked = _requirements(wanted)
    digest = hashlib.sha256(json.dumps([asked, *target]).encode()).hexdigest()[:32]
    folder = cache / digest
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        log.info("packages are installed for Python %s %s: %s", *target, ", ".join(asked.split("\n"))[:SHOWN])
        _install(asked, target, folder)
    os.utime(folder)
    keep_few(cache, CACHE_BYTES)
    files = installed(folder)
    size = sum(file.size for file in files)
    if size > MAX_INSTALLED_BYTES:
        raise CodeTooLarge(
            f"packages: they have {size:,} bytes, and at most {MAX_INSTALLED_BYTES:,} are sent; {IMAGE}"
        )
    return files


def installed(folder: Path) -> list[SourceFile]:
    """The files below a folder that packages were installed into; neither programs nor bytecode."""
    found = []
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if place.parts[0] in ("bin", ".lock") or "__pycache__" in place.parts or not path.is_file():
            continue
        found.append(SourceFile(place.as_posix(), path, path.stat().st_size))
    return found


def packed(packages: Sequence[SourceFile], code: Sequence[SourceFile], cache: Path) -> Archive:
    """The archive of both; the project's code goes before a package of the same name.

    Raises:
        CodeTooLarge: it is more than the bound.
        OSError: a file cannot be read, or the archive not be written.
    """
    made = archive({file.name: file for file in [*packages, *code]}.values(), cache)
    os.utime(made.path)
    return made


def keep_few(cache: Path, most: int) -> None:
    """Remove what was least recently used until at most `most` bytes are left; the last one always stays."""
    aged = sorted(((path.stat().st_mtime, path) for path in cache.iterdir()), reverse=True)
    size = 0
    for number, (used, path) in enumerate(aged):
        if path.name.startswith("."):  # under way, or left by a process that was killed
            if time.time() - used > ABANDONED_SECONDS:
                _remove(path)
            continue
        size += _bytes(path)
        if number and size > most:
            _remove(path)


def _requirements(wanted: Wanted) -> str:
    """As the lines of a requirements file.

    Raises:
        ValueError: one names another file, which the cache would not know.
    """
    if not isinstance(wanted, Path):
        text = "\n".join(sorted(wanted))
    elif not wanted.is_file():
        raise FileNotFoundError(f"packages names {wanted}, which is not there")
    elif wanted.name == "uv.lock":
        project = str(wanted.resolve().parent)
        export = ["export", "--quiet", "--frozen", "--no-dev", "--no-emit-workspace", "--no-header"]
        text = _uv([*export, "--project", project], f"cannot read {wanted}")
    else:
        text = wanted.read_text()
    for line in map(str.strip, text.splitlines()):
        if line.startswith(OTHER_FILES):
            raise ValueError(f"packages: {line!r} names another file; list all requirements in one place")
    return text


def _install(asked: str, target: Target, folder: Path) -> None:
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    listed, made = partial / "requirements.txt", partial / "packages"
    made.mkdir(parents=True)
    try:
        listed.write_text(asked)
        arguments = ["pip", "install", "--quiet", "--only-binary", ":all:", "--target", str(made)]
        arguments += ["--python", sys.executable, "--python-version", target.python]
        if target.platform:
            arguments += ["--python-platform", target.platform]
        what = f"cannot install the packages for Python {target.python} {target.platform}".rstrip()
        _uv([*arguments, "--requirement", str(listed)], what)
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _uv(arguments: Sequence[str], failed: str) -> str:
    """What uv printed."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        raise PackagesNotInstalled(
            "packages are installed by uv, which is not on this machine: pip install uv"
        )
    try:
        ran = subprocess.run(  # noqa: S603 - requirements are in a file, so none of them is an option of it
            [uv, *arguments], capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise PackagesNotInstalled(f"packages: uv {failed} within {INSTALL_SECONDS:g} s") from None
    if ran.returncode:
        raise PackagesNotInstalled(
            f"packages: uv {failed}: {ran.stderr.strip()[-SHOWN:]}\nOf packages without a wheel, {IMAGE}"
        )
    return ran.stdout


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
