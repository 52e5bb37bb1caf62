"""One folder of the cache for each language: its sources, what they need, and the program."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hack.cluster.prerequisites import can_run_locally, ensure_packages, is_present
from hack.polyglot import protos

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "tests" / "polyglot"
STAMP = ".built"
BUILD_SECONDS = 1800
Command = Callable[..., bytes]


class PolyglotError(Exception):
    """A worker cannot be built or is not built; the message says how to fix that."""


@dataclass(frozen=True)
class Language:
    """How a worker is built in a folder that has its sources, and started from there."""

    programs: tuple[str, ...]
    """That must be on the machine; absolute paths are files."""
    mend: str
    """Where to get them."""
    build: Callable[[Path], None]
    command: tuple[str, ...]
    """`{folder}` is replaced by the folder that it was built in."""
    debian: dict[str, str] | None = None
    """Debian's packages that bring the programs, and what shows that they are there."""


def cache() -> Path:
    """Where all languages are built."""
    return Path(os.environ.get("ARMONIK_CACHE") or Path.home() / ".cache" / "armonik-k8s") / "polyglot"


def lacks(name: str) -> str | None:
    """What is missing on this machine to build it, and how to get it; None when nothing is."""
    language = LANGUAGES[name]
    missing = [program for program in language.programs if not is_present(program)]
    return f"no {' and no '.join(missing)}: {language.mend}" if missing else None


def command(name: str) -> list[str]:
    """How to start the worker.

    Raises:
        PolyglotError: it is not built, or not from these sources.
    """
    folder = cache() / name
    stamp = folder / STAMP
    if not stamp.exists() or stamp.read_text() != _digest(name):
        raise PolyglotError(f"the {name} worker is not built: run `make polyglot-build LANGUAGES={name}`")
    return [word.format(folder=folder) for word in LANGUAGES[name].command]


def build(name: str) -> None:
    """Build a worker; nothing when it is built from these sources already.

    Raises:
        PolyglotError: something is missing, or it does not build.
    """
    language, folder = LANGUAGES[name], cache() / name
    if language.debian and lacks(name) and can_run_locally():
        ensure_packages(language.debian)
    if missing := lacks(name):
        raise PolyglotError(missing)
    stamp, digest = folder / STAMP, _digest(name)
    if stamp.exists() and stamp.read_text() == digest:
        return
    say(f"building the {name} worker")
    stamp.unlink(missing_ok=True)
    shutil.copytree(SOURCES / name, folder, dirs_exist_ok=True)
    language.build(folder)
    stamp.write_text(digest)


def say(text: str) -> None:
    """Write what happens to standard error."""
    print(f"[polyglot] {text}", file=sys.stderr, flush=True)


def _digest(name: str) -> str:
    """Of all that the worker is made from."""
    digest = hashlib.sha256(protos.descriptors().SerializeToString(deterministic=True))
    for path in sorted((SOURCES / name).rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(SOURCES).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _run(folder: Path, *words: str, given: bytes | None = None, **env: str) -> bytes:
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            timeout=BUILD_SECONDS,
            env=os.environ | env,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PolyglotError(f"{' '.join(words)}: {error}") from error
    if done.returncode:
        said = (done.stderr + done.stdout).decode(errors="replace")[-2000:]
        raise PolyglotError(f"{' '.join(words)} has failed:\n{said}")
    return done.stdout


def _descriptors(folder: Path) -> None:
    (folder / "armonik.pb").write_bytes(protos.descriptors().SerializeToString(deterministic=True))


def _python(folder: Path) -> None:
    """Nothing: it runs in the developer's environment."""


def _node(folder: Path) -> None:
    _descriptors(folder)
    _run(folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")


def _go(folder: Path) -> None:
    files = protos.descriptors()
    here = ["module=armonik-k8s-test-worker", *(f"M{name}={_GO_PACKAGE}" for name in protos.own(files))]
    request = protos.request(files, ",".join(here))
    shutil.rmtree(folder / "pb", ignore_errors=True)
    go = partial(_run, folder, "go", GOFLAGS="-mod=readonly")
    for plugin in ("protoc-gen-go", "protoc-gen-go-grpc"):
        protos.write(go("tool", plugin, given=request), folder)
    go("build", "-o", "worker", ".")


def _h2spec(folder: Path) -> None:
    package = "github.com/summerwind/h2spec/cmd/h2spec"
    _run(folder, "go", "build", "-o", "h2spec", package, GOFLAGS="-mod=readonly")


def _rust(folder: Path) -> None:
    cargo = partial(_run, folder, "cargo")
    lock = folder / "Cargo.lock"
    kept = lock.read_text()  # without the registry's address, which Cargo writes into a lock of its own
    lock.unlink()
    cargo("generate-lockfile")
    source = re.search(r"^source = .*\n", lock.read_text(), re.MULTILINE)
    if source is None:
        raise PolyglotError("cargo generate-lockfile has written a lock without a registry")
    lock.write_text(re.sub(r"^(?=checksum = )", lambda _: source[0], kept, flags=re.MULTILINE))
    cargo("build", "--locked", "--release")


def _java(folder: Path) -> None:
    _descriptors(folder)
    kind = {"x86_64": "linux-x86_64", "aarch64": "linux-aarch_64"}.get(platform.machine(), platform.machine())
    for made in ("lib", "generated", "classes"):
        shutil.rmtree(folder / made, ignore_errors=True)
    (folder / "generated").mkdir()
    _run(folder, "mvn", "-q", "-B", f"-Dplatform={kind}", "dependency:copy-dependencies")
    protoc = folder / "lib" / f"protoc-{kind}.exe"
    protoc.chmod(0o755)
    _run(folder, str(protoc), "--descriptor_set_in=armonik.pb", "--java_out=generated", *_own())
    sources = [str(path.relative_to(folder)) for path in (folder / "generated").rglob("*.java")]
    _run(folder, "javac", "-d", "classes", "-cp", "lib/*", "-encoding", "UTF-8", "Worker.java", *sources)


def _cpp(folder: Path) -> None:
    _descriptors(folder)
    shutil.rmtree(folder / "generated", ignore_errors=True)
    (folder / "generated").mkdir()
    plugin = f"--plugin=protoc-gen-grpc={shutil.which('grpc_cpp_plugin')}"
    out = ("--cpp_out=generated", "--grpc_out=generated")
    _run(folder, "protoc", "--descriptor_set_in=armonik.pb", plugin, *out, *_own())
    sources = [str(path.relative_to(folder)) for path in sorted((folder / "generated").glob("*.cc"))]
    libraries = _run(folder, "pkg-config", "--cflags", "--libs", "grpc++", "protobuf").decode().split()
    flags = ("-std=c++17", "-O1", "-Igenerated")
    _run(folder, "g++", *flags, "-o", "worker", "worker.cc", *sources, *libraries)


def _own() -> list[str]:
    return protos.own(protos.descriptors())


_GO_PACKAGE = "armonik-k8s-test-worker/pb"
_GET_GO = "install Go 1.21 or newer (https://go.dev/dl)"
_GRPC_HEADER = "/usr/include/grpcpp/grpcpp.h"
LANGUAGES = {
    "python": Language((), "", _python, (sys.executable, "{folder}/worker.py")),
    "node": Language(
        ("node", "npm"),
        "install Node.js 18 or newer with npm (https://nodejs.org)",
        _node,
        ("node", "{folder}/worker.js"),
        {"nodejs": "node", "npm": "npm"},
    ),
    "go": Language(("go",), "install Go 1.21 or newer (https://go.dev/dl)", _go, ("{folder}/worker",)),
    "h2spec": Language(
        ("go",), "install Go 1.21 or newer (https://go.dev/dl)", _h2spec, ("{folder}/h2spec",)
    ),
    "rust": Language(
        ("cargo",),
        "install Rust 1.88 or newer (https://rustup.rs)",
        _rust,
        ("{folder}/target/release/worker",),
    ),
    "java": Language(
        ("java", "javac", "mvn"),
        "install a JDK 17 or newer and Maven 3.8 or newer",
        _java,
        ("java", "-XX:TieredStopAtLevel=1", "-cp", "{folder}/classes:{folder}/lib/*", "Worker"),
        {"default-jdk-headless": "javac", "maven": "mvn"},
    ),
    "cpp": Language(
        ("g++", "pkg-config", "protoc", "grpc_cpp_plugin", _GRPC_HEADER),
        "install g++ and gRPC for C++ (Debian: g++ pkg-config libgrpc++-dev protobuf-compiler-grpc)",
        _cpp,
        ("{folder}/worker",),
        {
            "g++": "g++",
            "pkg-config": "pkg-config",
            "protobuf-compiler": "protoc",
            "protobuf-compiler-grpc": "grpc_cpp_plugin",
            "libgrpc++-dev": _GRPC_HEADER,
        },
    ),
}
"""All that are tried; `make test` tries those of `COMMON`. Beside them a test of HTTP/2 itself, h2spec."""
COMMON = ("python", "node", "go")
