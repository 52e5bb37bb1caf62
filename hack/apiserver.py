"""Command lines of an etcd and a kube-apiserver on loopback, for tests and benchmarks."""

import os
import subprocess
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

CACHE: Final = Path(os.environ.get("ARMONIK_CACHE") or Path.home() / ".cache" / "armonik-k8s")


def program(name: str) -> Path:
    """A program of the local cluster.

    Raises:
        FileNotFoundError: it was never built; the message says how.
    """
    path = CACHE / "bin" / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; build it once with `make cluster-build`")
    return path


def etcd_command(data: Path, port: int, peer_port: int) -> list[str]:
    """Starts an etcd whose data may be lost when the machine ends."""
    url, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    return [
        *(str(program("etcd")), "--data-dir", str(data), "--unsafe-no-fsync", "--log-level", "warn"),
        *("--listen-client-urls", url, "--advertise-client-urls", url),
        *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
        *("--initial-cluster", f"default={peer}"),
    ]


def apiserver_command(folder: Path, port: int, etcd_port: int, tokens: Mapping[str, str]) -> list[str]:
    """Starts a kube-apiserver whose users have these tokens; makes its keys in `folder`.

    The user `admin` has all rights. The certificate is in `folder`, `CERTIFICATE`, once it was started.
    """
    key, users = folder / "service-account.key", folder / "tokens.csv"
    subprocess.run(
        ["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True, timeout=60
    )
    groups = {"admin": ',"system:masters"'}
    users.write_text("".join(f"{token},{u},{u}{groups.get(u, '')}\n" for u, token in tokens.items()))
    return [
        *(str(program("kube-apiserver")), "--etcd-servers", f"http://127.0.0.1:{etcd_port}"),
        *("--bind-address", "127.0.0.1", "--secure-port", str(port)),
        *("--cert-dir", str((folder / CERTIFICATE).parent), "--token-auth-file", str(users)),
        *("--authorization-mode", "RBAC", "--anonymous-auth=false"),
        *("--service-account-issuer", "https://kubernetes.default.svc"),
        *("--service-account-key-file", str(key), "--service-account-signing-key-file", str(key)),
        *("--service-cluster-ip-range", "10.96.0.0/16"),
        # There is no controller that makes service accounts, and pods are not run.
        *("--disable-admission-plugins", "ServiceAccount"),
    ]


CERTIFICATE: Final = Path("certificates", "apiserver.crt")
"""In the folder of the apiserver; it has signed itself."""


def kubeconfig(folder: Path, port: int, user: str, token: str, *, context: str) -> str:
    """The content of a kubeconfig for a user of the apiserver of that folder."""
    authority = b64encode((folder / CERTIFICATE).read_bytes()).decode()
    server = {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": authority}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": server}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": user}}],
        "current-context": context,
    }
    return yaml.safe_dump(config)
