"""What must be on the machine before anything is built, and getting it from Debian when it is not."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from .shell import ClusterError, run, say

# Package → a file or program that shows it is there.
NODE_PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "nftables": "nft",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "iproute2": "ip",
    "openssl": "openssl",
    "util-linux": "nsenter",
}
IMAGE_PACKAGES = {"buildah": "buildah", "mmdebstrap": "mmdebstrap", "ca-certificates": "/etc/ssl/certs"}


def is_debian() -> bool:
    """Whether apt-get installs software on this machine."""
    release = Path("/etc/os-release")
    return release.exists() and re.search(r"^ID=debian$", release.read_text(), re.MULTILINE) is not None


def can_run_locally() -> bool:
    """Whether the local control plane can be run here."""
    return os.geteuid() == 0 and is_debian()


def nothing_to_use(docker: str) -> str:
    """The error where there is no cluster at all; `docker` says what keeps us from using Docker."""
    return (
        f"no cluster to use: {docker}; or run as root on Debian 12 (then a control plane is built locally), "
        "or name an existing cluster with KUBECONTEXT=<context>"
    )


def ensure_packages(packages: dict[str, str]) -> None:
    """Install the Debian packages that are missing.

    Raises:
        ClusterError: not root on Debian, or apt-get failed.
    """
    missing = [package for package, evidence in packages.items() if not is_present(evidence)]
    if not missing:
        return
    if not can_run_locally():
        raise ClusterError(f"install {' '.join(missing)} (only as root on Debian this is done for you)")
    say(f"installing from Debian: {' '.join(missing)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-q", timeout=300, env=quiet)
    with _services_held_back():
        run("apt-get", "install", "-qy", "--no-install-recommends", *missing, timeout=900, env=quiet)


def ensure_go(purpose: str) -> None:
    """Check that Go is there and young enough to fetch the exact toolchain it is asked for.

    Args:
        purpose: of Go, for the error: "to build …".

    Raises:
        ClusterError: it is not.
    """
    if shutil.which("go") is None:
        raise ClusterError(f"Go is not installed: install 1.21 or newer (https://go.dev/dl) {purpose}")
    said = run("go", "version").strip()
    version = re.search(r"go1\.(\d+)", said)
    if version is None or int(version.group(1)) < 21:
        raise ClusterError(f"Go is too old ({said}): install 1.21 or newer (https://go.dev/dl) {purpose}")


def is_present(evidence: str) -> bool:
    """Whether a program, or a file with an absolute path, is on this machine."""
    if evidence.startswith("/"):
        return Path(evidence).exists()
    return shutil.which(evidence, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


@contextlib.contextmanager
def _services_held_back() -> Iterator[None]:
    """Debian asks /usr/sbin/policy-rc.d whether a freshly installed service may start; say no."""
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            policy.unlink(missing_ok=True)
