"""Build, once, what a machine without Docker needs for a real Kubernetes: see docs/development.md."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .buildah import Buildah
from .prerequisites import IMAGE_PACKAGES, NODE_PACKAGES, ensure_go, ensure_packages
from .settings import COREDNS_IMAGE, KUBERNETES_VERSION, PAUSE_IMAGE, PYTHON_BASE_IMAGE, SOURCES, Cache
from .shell import locked, run, say

APPLETS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "volume-provisioner",
)
_VERSION = "k8s.io/component-base/version"
_MINOR = KUBERNETES_VERSION.split(".")[1]
# Program → (package to build, what the linker writes into it besides).
GO_PROGRAMS = {
    "localkube": (
        ".",
        f"-X {_VERSION}.gitVersion={KUBERNETES_VERSION} "
        f"-X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor={_MINOR}",
    ),
    "coredns": (".", ""),
    "pause": (".", ""),
    "helm": ("helm.sh/helm/v3/cmd/helm", ""),
}
# The image keeps no word of the machine it was made on, and nothing a program never reads.
_BASE_PACKAGES = "python3,python3-venv,ca-certificates"
_BASE_EXCLUDES = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")
_BASE_FORGET = "etc/apt/sources.list* etc/resolv.conf etc/hostname var/lib/apt/lists/* var/cache/* var/log/*"


def build_cluster(cache: Cache) -> None:
    """Build programs and images of the local cluster that are missing or whose sources changed.

    Raises:
        ClusterError: something is missing on the machine, or a build failed.
    """
    ensure_packages({**NODE_PACKAGES, **IMAGE_PACKAGES})
    with locked(cache.root / "build.lock"), ThreadPoolExecutor() as pool:
        # The base image is all network and disk, compiling is all processor: side by side.
        base = pool.submit(build_python_base, cache)
        programs = [name for name in GO_PROGRAMS if not _go_program_is_fresh(cache, name)]
        if programs:
            ensure_go()
        for name in programs[1:]:  # a failure here shows again, with its reason, in the build itself
            pool.submit(_fetch_go_modules, cache, name)
        for name in programs:
            _build_go_program(cache, name)
        for applet in APPLETS:
            _link(cache.bin / applet, "localkube")
        _build_node_images(cache)
        base.result()


def build_helm(cache: Cache) -> None:
    """Build Helm alone, for clusters that are not ours.

    Raises:
        ClusterError: Go is missing, or the build failed.
    """
    with locked(cache.root / "build.lock"):
        if not _go_program_is_fresh(cache, "helm"):
            ensure_go()
            _build_go_program(cache, "helm")


def build_python_base(cache: Cache) -> None:
    """Make the image that the offline builds start from: Debian's Python and nothing else."""
    recipe = hashlib.sha256(repr((_BASE_PACKAGES, _BASE_EXCLUDES, _BASE_FORGET)).encode()).hexdigest()
    buildah = Buildah(cache)

    def build() -> None:
        archive = cache.images / "python-base.tar"
        archive.unlink(missing_ok=True)
        run(
            "mmdebstrap",
            "--variant=minbase",
            f"--include={_BASE_PACKAGES}",
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in _BASE_EXCLUDES),
            f'--customize-hook=cd "$1" && rm -rf {_BASE_FORGET}',
            "bookworm",
            archive,
            timeout=900,
            log=cache.logs / "python-base.log",
        )
        buildah.from_scratch(PYTHON_BASE_IMAGE, {archive: "/"}, ["--cmd", "python3"])
        archive.unlink()

    if not buildah.image_id(PYTHON_BASE_IMAGE):
        _stamp(cache, "python-base").unlink(missing_ok=True)
    _once(cache, "python-base", recipe, "the Python base image", build)


def _build_node_images(cache: Cache) -> None:
    buildah = Buildah(cache)

    def build(name: str, image: str) -> Callable[[], None]:
        def work() -> None:
            config = ["--entrypoint", f'["/{name}"]', "--user", "65532:65532"]
            buildah.from_scratch(image, {cache.bin / name: f"/{name}"}, config)
            buildah.save(image, cache.images / f"{name}.tar")

        return work

    for name, image in (("pause", PAUSE_IMAGE), ("coredns", COREDNS_IMAGE)):
        archive = cache.images / f"{name}.tar"
        if not archive.exists():
            _stamp(cache, f"image-{name}").unlink(missing_ok=True)
        _once(cache, f"image-{name}", _go_recipe(name), f"the image of {name}", build(name, image))


def _build_go_program(cache: Cache, name: str) -> None:
    package, linked = GO_PROGRAMS[name]

    def build() -> None:
        fresh = cache.bin / f".{name}.new"
        cache.bin.mkdir(parents=True, exist_ok=True)
        run(
            *("go", "build", "-trimpath", "-ldflags", f"-s -w {linked}".strip(), "-o", fresh, package),
            cwd=SOURCES / "go" / name,
            env=cache.go_environment,
            timeout=3600,
            log=cache.logs / f"{name}.log",
        )
        fresh.rename(cache.bin / name)  # a program that runs is replaced, not written to

    _once(cache, f"go-{name}", _go_recipe(name), name, build)


def _fetch_go_modules(cache: Cache, name: str) -> None:
    """Download what a build will need while another one compiles (`list` fetches exactly that)."""
    package, _ = GO_PROGRAMS[name]
    run("go", "list", "-deps", package, cwd=SOURCES / "go" / name, env=cache.go_environment, timeout=1800)


def _go_recipe(name: str) -> str:
    digest = hashlib.sha256(repr(GO_PROGRAMS[name]).encode())
    for source in sorted((SOURCES / "go" / name).iterdir()):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()


def _go_program_is_fresh(cache: Cache, name: str) -> bool:
    stamp = _stamp(cache, f"go-{name}")
    return (cache.bin / name).exists() and stamp.exists() and stamp.read_text() == _go_recipe(name)


def _once(cache: Cache, key: str, recipe: str, what: str, build: Callable[[], None]) -> None:
    """Build what was not yet built from this recipe; the stamp is written last."""
    stamp = _stamp(cache, key)
    if stamp.exists() and stamp.read_text() == recipe:
        return
    say(f"building {what} (once)")
    start = time.monotonic()
    build()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(recipe)
    say(f"built {what} in {time.monotonic() - start:.0f} s")


def _stamp(cache: Cache, key: str) -> Path:
    return cache.root / "stamps" / key


def _link(path: Path, target: str) -> None:
    if not path.is_symlink():
        path.symlink_to(target)
