"""A kube-apiserver with its etcd on loopback, which knows our kinds; without controllers."""

import asyncio
import contextlib
import secrets
import ssl
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.apiserver import CERTIFICATE, apiserver_command, etcd_command, kubeconfig

from armonik_operator.clients.kube import CRDS, Kube
from armonik_sdk.api.crd import crds
from bench.systems.ports import free_port, listens
from bench.systems.servers import running

_TOKEN: Final = secrets.token_hex(16)


@dataclass(frozen=True)
class Address:
    """How to reach both."""

    kubeconfig: Path
    etcd: str
    """URL."""


@contextlib.asynccontextmanager
async def apiserver(folder: Path) -> AsyncIterator[Address]:
    """From when it answers and knows the kinds to the end of the block."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    port, etcd_port, peer_port = free_port(), free_port(), free_port()
    command = etcd_command(folder / "etcd", etcd_port, peer_port)
    command += ["--quota-backend-bytes", str(8 * 2**30)]
    serve = apiserver_command(folder, port, etcd_port, {"admin": _TOKEN})
    async with (
        running(command, folder / "etcd.log", lambda: listens(etcd_port)),
        running(serve, folder / "apiserver.log", lambda: _ready(folder, port)),
    ):
        file = folder / "kubeconfig"
        file.write_text(kubeconfig(folder, port, "admin", _TOKEN, context="bench"))
        await _define(file)
        yield Address(file, f"http://127.0.0.1:{etcd_port}")


def _ready(folder: Path, port: int) -> bool:
    certificate = folder / CERTIFICATE
    if not certificate.exists():
        return False
    url = f"https://127.0.0.1:{port}/readyz"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {_TOKEN}"})
    try:
        context = ssl.create_default_context(cadata=certificate.read_text())
        urllib.request.urlopen(request, timeout=5, context=context).close()
    except OSError:  # refused, reset or not ready yet
        return False
    return True


async def _define(file: Path) -> None:
    kube = await Kube.connect(str(file))
    try:
        for definition in crds().values():
            await kube.apply(CRDS, definition)
    finally:
        await kube.close()
