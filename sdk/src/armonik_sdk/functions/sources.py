"""The project's source files that functions need: which are loaded, and their archive. Never bytecode."""

import hashlib
import os
import shutil
import sys
import sysconfig
import types
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, NamedTuple

from armonik_sdk.functions.errors import BadEnvironment, CodeTooLarge

MAX_CODE_BYTES: Final = 50 * 1024 * 1024
"""Of all source files of a project."""
MAX_ENVIRONMENT_BYTES: Final = 512 * 1024 * 1024
"""Of an archive, and of what is unpacked from one times eight."""
_UNPACKED: Final = 8
_NAMED_FILES: Final = 10
INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
"""Names of folders of installed packages, which are never the project."""
_LEFT_OUT: Final = frozenset(
    {"__pycache__", ".git", ".hg", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
)
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


class SourceFile(NamedTuple):
    """A file to send."""

    name: str
    """Its place below a folder of `sys.path`: `pkg/mod.py`."""
    path: Path
    size: int
    """Bytes."""


class Archive(NamedTuple):
    """A ZIP file that was written."""

    path: Path
    sha256: str
    """Of names and contents in order, 64 hexadecimal digits: the same files give the same one."""
    size: int
    """Bytes of the file."""
    file_sha256: str
    """Of the bytes of the file, which `TaskOptions.environment` names."""


def project_folders(
    main: types.ModuleType | None, working: Path, installed: Iterable[Path] = ()
) -> tuple[Path, ...]:
    """The folders whose modules are the user's own.

    Args:
        main: the module `__main__`; the folder of its file counts, or that of its package.
        working: the working folder, which counts when `__main__` has no file (a notebook, a prompt).
        installed: folders of editable installations.
    """
    file = getattr(main, "__file__", None)
    if not file:
        return (working.resolve(), *(path.resolve() for path in installed))
    folder = Path(file).resolve().parent
    package = getattr(main, "__package__", None) or ""
    for _ in package.split(".") if package else ():
        folder = folder.parent  # `python -m pkg.tool`: the folder that holds the package
    return (folder, *(path.resolve() for path in installed))


def loaded_sources(
    modules: Mapping[str, types.ModuleType], folders: Sequence[Path], library: Iterable[Path] | None = None
) -> list[SourceFile]:
    """The source files of the loaded modules that lie below the project.

    Args:
        modules: `sys.modules`.
        folders: of `project_folders`.
        library: folders of the standard library and of installed packages, which are never the project;
            those of this Python when left out.

    Raises:
        CodeTooLarge: they are more than the bound.
    """
    never = _library() if library is None else tuple(path.resolve() for path in library)
    found: dict[str, SourceFile] = {}
    for name, module in sorted(modules.items()):
        known = _known(module)
        path = _source(known)
        if path is None or name == "__main__" or known.get("__name__", name) != name:
            continue
        if INSTALLED.intersection(path.parts) or any(path.is_relative_to(folder) for folder in never):
            continue
        if any(path.is_relative_to(folder) for folder in folders) and path.is_file():
            place = _place(name, path)
            found[place] = SourceFile(place, path, path.stat().st_size)
    return checked(found.values())


def named_sources(paths: Iterable[Path]) -> list[SourceFile]:
    """The files that were named: a file by its name, a folder with all that is in it.

    Raises:
        FileNotFoundError: one is not there.
        CodeTooLarge: they are more than the bound.
    """
    found: dict[str, SourceFile] = {}
    for given in paths:
        path = Path(given).resolve()
        if not path.exists():
            raise FileNotFoundError(f"code names {given}, which is not there")
        for file in _files(path):
            name = (
                PurePosixPath(path.name, *file.relative_to(path).parts).as_posix()
                if path.is_dir()
                else path.name
            )
            found[name] = SourceFile(name, file, file.stat().st_size)
    return checked(found.values())


def checked(files: Iterable[SourceFile], most: int = MAX_CODE_BYTES) -> list[SourceFile]:
    """The files in order.

    Raises:
        CodeTooLarge: they are more than `most` bytes; names the largest.
    """
    files = sorted(files)
    total = sum(file.size for file in files)
    if total > most:
        largest = sorted(files, key=lambda file: -file.size)[:_NAMED_FILES]
        named = ", ".join(f"{file.path} ({file.size:,} bytes)" for file in largest)
        raise CodeTooLarge(
            f"the project's code has {total:,} bytes, and at most {most:,} are sent. The largest files: "
            f"{named}. Name what is needed with code=[…], or build an image"
        )
    return files


def archive(files: Iterable[SourceFile], into: Path, most: int = MAX_ENVIRONMENT_BYTES) -> Archive:
    """Write a ZIP file of sources and packages, named after its content, unless it is there.

    Args:
        files: of `loaded_sources`, `named_sources`, or of an installed folder.
        into: the folder for it.
        most: bytes of the ZIP file.

    Raises:
        CodeTooLarge: it is more than that.
        OSError: a file cannot be read, or the archive not be written.
    """
    ordered = sorted(files)
    counted = hashlib.sha256()
    for file in ordered:
        counted.update(f"{file.name}\0{file.size}\0".encode())
        with file.path.open("rb") as source:
            counted.update(hashlib.file_digest(source, "sha256").digest())
    sha256 = counted.hexdigest()
    path = into / f"{sha256}.zip"
    if not path.exists():
        into.mkdir(parents=True, exist_ok=True)
        partial = into / f".{sha256}.{os.getpid()}"
        try:
            _write(ordered, partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    size = path.stat().st_size
    if size > most:
        raise CodeTooLarge(
            f"the environment has {size:,} bytes, and at most {most:,} are sent. Build an image with the "
            "packages: FROM …/armonik-worker-python, RUN uv pip install …"
        )
    with path.open("rb") as written:
        return Archive(path, sha256, size, hashlib.file_digest(written, "sha256").hexdigest())


def unpack(archive: Path | BinaryIO, into: Path, most: int = MAX_ENVIRONMENT_BYTES * _UNPACKED) -> None:
    """Unpack an archive into a folder that is there afterwards, whole or not at all.

    Args:
        archive: the ZIP file.
        into: the folder to make.
        most: bytes of what is in it.

    Raises:
        BadEnvironment: it is no such archive, too large, or names a place outside.
        OSError: the folder cannot be written.
    """
    partial = into.with_name(f".{into.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(archive) as opened:
            _check_entries(opened.infolist(), most)
            opened.extractall(partial)
        partial.rename(into)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise BadEnvironment(f"the environment is no ZIP file: {error}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_entries(entries: Sequence[zipfile.ZipInfo], most: int) -> None:
    total = sum(entry.file_size for entry in entries)
    if total > most:
        raise BadEnvironment(f"the environment has {total:,} bytes unpacked, at most {most:,} are taken")
    for entry in entries:
        place = PurePosixPath(entry.filename)
        if place.is_absolute() or ".." in place.parts or "\\" in entry.filename:
            raise BadEnvironment(f"the environment names a place outside of it: {entry.filename!r}")


def _write(files: Sequence[SourceFile], path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as zipped:
        for file in files:
            entry = zipfile.ZipInfo(file.name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with file.path.open("rb") as source, zipped.open(entry, "w") as target:
                while chunk := source.read(1024 * 1024):
                    target.write(chunk)


def _known(module: object) -> dict[str, object]:
    """What a module holds; hooks of lazy ones, which import others, are not called."""
    if not issubclass(type(module), types.ModuleType):  # isinstance believes what others say of themselves
        return {}
    known: dict[str, object] = object.__getattribute__(module, "__dict__")
    return known


def _source(known: Mapping[str, object]) -> Path | None:
    file = known.get("__file__")
    if not isinstance(file, str) or not file.endswith(".py"):
        return None
    return Path(file).resolve()


def _place(name: str, path: Path) -> str:
    """Below `sys.path`, after its name: where it lies need not be where the worker looks."""
    inner = "/__init__.py" if path.name == "__init__.py" else ".py"
    return name.replace(".", "/") + inner


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for folder, names, files in os.walk(path):
        names[:] = sorted(set(names) - _LEFT_OUT)
        yield from (Path(folder, file) for file in sorted(files) if not file.endswith((".pyc", ".pyo")))


def _library() -> tuple[Path, ...]:
    """Of this Python and of the one its virtual environment is made from."""
    scheme = sysconfig.get_paths()
    named = {scheme[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    found = {Path(path).resolve() for path in named}
    found.add(Path(os.__file__).resolve().parent)
    if sys.prefix != sys.base_prefix:
        found.add(Path(sys.prefix).resolve())
    return tuple(found)
