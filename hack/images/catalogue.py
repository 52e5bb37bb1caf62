"""Which images there are, what they are made of, and the name that follows from it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.settings import REPOSITORY
from hack.cluster.shell import ClusterError

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
"""Of which there are workers of plain Python functions."""


@dataclass(frozen=True)
class Image:
    """One image: `images/<recipe>/Dockerfile` and the sources it copies, relative to the repository."""

    name: str
    sources: tuple[str, ...]
    # A source that must exist: folders may be there before the code is.
    needs: str
    # Folder of the Dockerfile, where it is not called after the image.
    recipe: str = ""
    # Build arguments beside BASE.
    arguments: tuple[tuple[str, str], ...] = ()
    # Program of ours in Go that it copies from the cache.
    program: str = ""
    # Built when it is named, or for a release.
    on_demand: bool = False
    # Major and minor of its Python, where it is not the engine's: its tags end with it.
    python: str = ""

    @property
    def repository(self) -> str:
        """Name without registry and tag."""
        return f"armonik-{self.name.removesuffix(self.python)}"

    @property
    def alias(self) -> str:
        """The tag that always names what was built last."""
        return f"dev{self._ending}"

    def release_tag(self, version: str, python: str) -> str:
        """Tag of a release; the chart finds workers of plain functions by their Python, else the engine's."""
        return f"{version}-python{self.python or python}" if self.recipe == "worker-python" else version

    @property
    def _ending(self) -> str:
        return f"-python{self.python}" if self.python else ""

    @property
    def dockerfile(self) -> Path:
        """Where its recipe is."""
        return REPOSITORY / "images" / (self.recipe or self.name) / "Dockerfile"

    def tag(self, base: str) -> str:
        """Tag that changes with the content: `dev-` and 12 digits of a hash over everything that enters."""
        digest = hashlib.sha256(repr((base, self.arguments)).encode())
        for path in [self.dockerfile, *self._files()]:
            digest.update(f"\0{path.relative_to(REPOSITORY)}\0".encode() + path.read_bytes())
        return f"dev-{digest.hexdigest()[:12]}{self._ending}"

    def missing(self) -> str:
        """The file without which it cannot be built, empty when it can."""
        return "" if (REPOSITORY / self.needs).exists() else self.needs

    def _files(self) -> Iterator[Path]:
        for source in (*self.sources, *([f"hack/cluster/go/{self.program}"] if self.program else [])):
            path = REPOSITORY / source
            found = [path] if path.is_file() else sorted(path.rglob("*"))
            yield from (file for file in found if file.is_file() and "__pycache__" not in file.parts)


def check_pins() -> None:
    """See that the images' pins are those of requirements.lock.

    Raises:
        ClusterError: they are not; names the first that differs.
    """
    locked = _pins(REPOSITORY / "requirements.lock")
    for file in sorted((REPOSITORY / "images/requirements").glob("*.txt")):
        for package, version in _pins(file).items():
            if locked.get(package) != version:
                wanted = locked.get(package, "nothing")
                pinned = f"{file.relative_to(REPOSITORY)} pins {package} {version}"
                raise ClusterError(f"{pinned}, requirements.lock {wanted}: run `make lock`")


def _pins(file: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", file.read_text(), re.MULTILINE))


def _python(name: str, module: str) -> Image:
    sources = ("sdk/src", f"{name}/src", f"images/requirements/{name}.txt")
    extra = ("crds",) if name == "operator" else ()
    return Image(name, sources + extra, f"{name}/src/{module}/__main__.py")


def _worker(name: str, folder: str) -> Image:
    script = f"{folder}/worker.py"
    sources = (script, "images/requirements/worker.txt")
    return Image(f"worker-{name}", sources, script, "worker", (("WORKER", script),))


def _function(name: str, folder: str) -> Image:
    script = f"{folder}/function.py"
    sdk = ("__init__.py", "api/__init__.py", "api/bounds.py", "api/runcall.py", "worker")
    sources = (script, "images/requirements/worker.txt", *(f"sdk/src/armonik_sdk/{part}" for part in sdk))
    return Image(f"worker-{name}", sources, script, "function", (("FUNCTION", script),))


def _functions(python: str = "") -> Image:
    sources = ("sdk/src", "images/requirements/worker-python.txt")
    program = "sdk/src/armonik_sdk/worker/functions/__main__.py"
    return Image(
        f"worker-python{python}", sources, program, "worker-python", on_demand=bool(python), python=python
    )


def _server(name: str) -> Image:
    requirements = f"images/requirements/{name}.txt"
    return Image(name, (requirements,), requirements)


def _store(name: str, *, on_demand: bool = False) -> Image:
    """An object store out of its Go module, whose version go.mod has."""
    return Image(name, (), f"hack/cluster/go/{name}/go.mod", "s3", (("SERVER", name),), name, on_demand)


IMAGES = (
    _server("nats"),
    _store("versitygw"),
    _store("minio", on_demand=True),  # minutes to compile
    _worker("hello", "examples/hello"),
    _worker("lab", "tests/e2e/lab"),
    _worker("bench", "bench/worker"),
    _functions(),
    *(_functions(python) for python in PYTHONS),
    _function("square", "examples/square"),
    _function("lab-own", "tests/e2e/function"),
    _function("bench-own", "bench/function"),
    _python("agent", "armonik_agent"),
    _python("operator", "armonik_operator"),
)
