"""Build, once, what a machine without Docker needs for a real Kubernetes: see docs/development.md."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .buildah import Buildah
from .prerequisites import IMAGE_PACKAGES, NODE_PACKAGES, ensure_go, ensure_packages
from .progress import BOARD, Announced, Compiled, Downloaded, Stale
from .settings import (
    COREDNS_IMAGE,
    KUBERNETES_VERSION,
    LOCAL_PYTHON,
    PAUSE_IMAGE,
    PYTHON_SUITES,
    SOURCES,
    Cache,
)
from .shell import ClusterError, locked, run, run_logged, say

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
    "versitygw": ("github.com/versity/versitygw/cmd/versitygw", ""),
    "minio": ("github.com/minio/minio", ""),
}
NODE_PROGRAMS = ("localkube", "coredns", "pause", "helm")
"""What the local cluster needs."""
STORES = ("versitygw", "minio")
"""Object stores: for images, and for tests and benchmarks on loopback."""
# The image keeps no word of the machine it was made on, and nothing a program never reads.
_BASE_PACKAGES = "python3,python3-venv,ca-certificates"
_BASE_EXCLUDES = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")
# A suite that is not released yet gets a newer Python one day: the base is refused then.
_BASE_CHECK = (
    'import sys; v = "%d.%d" % sys.version_info[:2]; sys.exit(v != "{0}" and f"its Python is {{v}}, not {0}")'
)
_BASE_FORGET = (
    "etc/apt/sources.list* etc/apt/apt.conf.d/99mmdebstrap etc/resolv.conf etc/hostname "
    "var/lib/apt/lists/* var/cache/* var/log/*"
)


def build_cluster(cache: Cache) -> None:
    """Build programs and images of the local cluster that are missing or whose sources changed.

    Raises:
        ClusterError: something is missing on the machine, or a build failed.
    """
    ensure_packages({**NODE_PACKAGES, **IMAGE_PACKAGES})
    with locked(cache.root / "build.lock"), ThreadPoolExecutor() as pool:
        # The base image is all network and disk, compiling is all processor: side by side.
        base = pool.submit(build_python_base, cache)
        programs = [name for name in NODE_PROGRAMS if not is_built(cache, name)]
        if programs:
            ensure_go("to build the local control plane")
        for name in programs[1:]:  # a failure here shows again, with its reason, in the build itself
            pool.submit(_fetch_go_modules, cache, name)
        for name in programs:
            _build_go_program(cache, name)
        _link_applets(cache)
        _build_node_images(cache)
        base.result()


def build_apiserver(cache: Cache) -> None:
    """Build what the integration tests start, a kube-apiserver with etcd, where the cluster is not ours.

    Raises:
        ClusterError: Go is missing, or the build failed.
    """
    with locked(cache.root / "build.lock"):
        _ensure_built(cache, "localkube", "to build the kube-apiserver and etcd of the integration tests")
        _link_applets(cache)


def build_helm(cache: Cache) -> None:
    """Build Helm alone, for clusters that are not ours.

    Raises:
        ClusterError: Go is missing, or the build failed.
    """
    with locked(cache.root / "build.lock"):
        why = "to build Helm, unless you install it (https://helm.sh/docs/intro/install)"
        _ensure_built(cache, "helm", why)


def build_stores(cache: Cache, names: tuple[str, ...] = STORES) -> None:
    """Build object stores for this machine.

    Raises:
        ClusterError: Go is missing, or the build failed.
    """
    with locked(cache.root / "build.lock"):
        for name in names:
            _ensure_built(cache, name, f"to build the object store {name}")


def build_for_image(cache: Cache, name: str) -> Path:
    """Build a program for containers, which have Linux and this machine's processor; the folder it is in.

    Raises:
        ClusterError: Go is missing, or the build failed.
    """
    if sys.platform == "linux":
        build_stores(cache, (name,))
        return cache.bin
    with locked(cache.root / "build.lock"):
        ensure_go(f"to build the object store {name}")
        _build_go_program(cache, name, "linux")
    return cache.bin / "linux"


def build_python_base(cache: Cache, python: str = LOCAL_PYTHON) -> str:
    """Make the image that builds without a registry start from, Debian's Python and nothing else; its name.

    Args:
        cache: where it is made, and kept.
        python: major and minor, `3.13`.

    Raises:
        ClusterError: no suite of Debian has this Python, or the build failed.
    """
    suite = PYTHON_SUITES.get(python)
    if suite is None:
        have = ", ".join(PYTHON_SUITES)
        raise ClusterError(
            f"Debian has no Python {python}, but {have}: name one of these, or build with Docker"
        )
    image, key = f"localhost/armonik-python-base:{suite}", f"python-base-{suite}"
    what = f"the base image of Python {python}"
    check = _BASE_CHECK.format(python)
    recipe = hashlib.sha256(repr((_BASE_PACKAGES, _BASE_EXCLUDES, _BASE_FORGET, check)).encode()).hexdigest()
    buildah = Buildah(cache)

    def build() -> None:
        archive = cache.images / f"{key}.tar"
        archive.unlink(missing_ok=True)
        command = [
            *("mmdebstrap", "--variant=minbase", f"--include={_BASE_PACKAGES}", *_apt_options()),
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in _BASE_EXCLUDES),
            f"--customize-hook=chroot \"$1\" python3 -c '{check}'",
            f'--customize-hook=cd "$1" && rm -rf {_BASE_FORGET}',
            *(suite, str(archive)),
        ]
        with BOARD.job(what, Announced()) as job:
            run_logged(*command, timeout=900, log=cache.logs / f"{key}.log", follow=job.read)
        buildah.from_scratch(image, {archive: "/"}, ["--cmd", "python3"])
        archive.unlink()

    if not buildah.image_id(image):
        _stamp(cache, key).unlink(missing_ok=True)
    _once(cache, key, recipe, what, build)
    return image


def _apt_options() -> list[str]:
    """What a mirror that is kept at one day needs: mmdebstrap reads none of this machine's settings."""
    said = run("apt-config", "dump", "--no-empty", "Acquire::Check-Valid-Until")
    return [f"--aptopt={line}" for line in said.splitlines()]


def is_built(cache: Cache, name: str) -> bool:
    """Whether a Go program is in the cache and made from these sources."""
    stamp = _stamp(cache, f"go-{name}")
    return (cache.bin / name).exists() and stamp.exists() and stamp.read_text() == _go_recipe(name)


def _ensure_built(cache: Cache, name: str, why: str) -> None:
    """Build a Go program unless it is built; `why` Go is needed then."""
    if not is_built(cache, name):
        ensure_go(why)
        _build_go_program(cache, name)


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


def _build_go_program(cache: Cache, name: str, system: str = "") -> None:
    """`system`: for which operating system, where it is not this machine's; then in a folder of that name."""
    package, linked = GO_PROGRAMS[name]
    folder = cache.bin / system
    options = ("-trimpath", "-ldflags", f"-s -w {linked}".strip())

    def go(*words: str | Path, follow: Callable[[str], None]) -> None:
        run_logged(
            *("go", *words),
            log=cache.logs / f"{name}.log",
            timeout=3600,
            cwd=SOURCES / "go" / name,
            env=cache.go_environment | ({"GOOS": system} if system else {}),
            follow=follow,
        )

    def build() -> None:
        fresh = folder / f".{name}.new"
        folder.mkdir(parents=True, exist_ok=True)
        with BOARD.job(name, Downloaded()) as job:
            stale = Stale(job)
            go("list", "-deps", "-f", Stale.TEMPLATE, *options, package, follow=stale.read)
            job.reader = Compiled(stale.count)
            go("build", "-v", *options, "-o", fresh, package, follow=job.read)
        fresh.rename(folder / name)  # a program that runs is replaced, not written to

    _once(cache, f"go-{system}-{name}" if system else f"go-{name}", _go_recipe(name), name, build)


def _fetch_go_modules(cache: Cache, name: str) -> None:
    """Download what a build will need while another one compiles (`list` fetches exactly that)."""
    package, _ = GO_PROGRAMS[name]
    run("go", "list", "-deps", package, cwd=SOURCES / "go" / name, env=cache.go_environment, timeout=1800)


def _link_applets(cache: Cache) -> None:
    for applet in APPLETS:
        _link(cache.bin / applet, "localkube")


def _go_recipe(name: str) -> str:
    digest = hashlib.sha256(repr(GO_PROGRAMS[name]).encode())
    for source in sorted((SOURCES / "go" / name).iterdir()):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()


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
