"""The chart's servers with TLS on loopback: its own commands and configuration, at other paths and ports."""

import os
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apiserver import binary
from ports import free_port
from servers import PASSWORD, READY_SECONDS
from stores import ROOT_KEY, ROOT_SECRET

from armonik_operator.manifests.certificates import authority_values, server_values
from armonik_operator.manifests.nats_auth import render_auth_conf
from armonik_sdk.dataplane.credentials import Credentials
from rendering import Helm, named

HERE = ("localhost", "127.0.0.1")
BASE = Credentials(
    nats_url="tls://127.0.0.1:1",
    nats_user="operator",
    nats_password=PASSWORD,
    s3_endpoint="127.0.0.1:1",
    s3_secure=True,
    s3_region="us-east-1",
    s3_bucket="armonik",
    s3_access_key=ROOT_KEY,
    s3_secret_key=ROOT_SECRET,
)


class TlsServer:
    """NATS (`nats`), versitygw or MinIO as the chart starts it, with a certificate by a CA of its own."""

    def __init__(self, helm: Helm, kind: str, folder: Path, names: tuple[str, ...] = HERE) -> None:
        self.kind = kind
        self.folder = folder
        self.port = free_port()
        self.authority = authority_values({}, datetime.now(UTC))
        self._names = names
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("data", "auth", "tls"):
            (folder / name).mkdir(parents=True)
        self.rotate()
        values: dict[str, Any] = {"tls": {"enabled": True}}
        if kind != "nats":
            values["objectStore"] = {"server": kind}
        objects = helm.render(values)
        component = "nats" if kind == "nats" else "s3"
        stateful = named(objects, "StatefulSet", f"armonik-{component}")
        self._command = [
            self._moved(word) for word in stateful["spec"]["template"]["spec"]["containers"][0]["command"]
        ]
        conf = named(objects, "ConfigMap", "armonik-nats")["data"]["nats.conf"]
        (folder / "nats.conf").write_text(self._moved(conf))
        (folder / "auth" / "auth.conf").write_text(
            render_auth_conf(dict.fromkeys(("operator", "agent", "client"), PASSWORD))
        )

    @property
    def ca(self) -> str:
        """What clients trust."""
        return self.authority["ca.crt"]

    @property
    def credentials(self) -> Credentials:
        """With the CA, for this server; the address of the other one leads nowhere."""
        here = f"127.0.0.1:{self.port}"
        if self.kind == "nats":
            return replace(BASE, nats_url=f"tls://{here}", tls_ca=self.ca)
        return replace(BASE, s3_endpoint=here, tls_ca=self.ca)

    def rotate(self) -> None:
        """Put a new certificate of the same CA there as the kubelet does: both files at once."""
        made = server_values({}, self.authority, self._names, datetime.now(UTC))
        mount, fresh = self.folder / "tls", self.folder / "tls" / f"..{time.monotonic_ns()}"
        fresh.mkdir()
        files = {"tls.crt": "tls.crt", "tls.key": "tls.key"}
        if self.kind == "minio":
            files = {"tls.crt": "public.crt", "tls.key": "private.key"}
        for key, name in files.items():
            (fresh / name).write_text(made[key])
            if not (mount / name).is_symlink():
                (mount / name).symlink_to(Path("..data", name))
        link = mount / "..new"
        link.symlink_to(fresh.name)
        link.rename(mount / "..data")

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        path = f"{Path(sys.executable).parent}:{binary('versitygw').parent}:{os.environ['PATH']}"
        keys = {"ROOT_ACCESS_KEY": ROOT_KEY, "ROOT_SECRET_KEY": ROOT_SECRET, "PATH": path}
        keys |= {"MINIO_ROOT_USER": ROOT_KEY, "MINIO_ROOT_PASSWORD": ROOT_SECRET, "MINIO_CI_CD": "on"}
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=os.environ | keys, start_new_session=True
            )
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.serial() if self.kind != "nats" else self._touch()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError(f"{self.kind} did not start: {(self.folder / 'log').read_text()[-2000:]}")

    def stop(self) -> int:
        """Stop it as Kubernetes does, by a signal to process 1 of the container; its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(timeout=READY_SECONDS)

    def serial(self) -> str:
        """Serial number of the certificate that a new connection to the object store gets."""
        context = ssl.create_default_context(cadata=self.ca)
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=10) as raw,
            context.wrap_socket(raw, server_hostname="127.0.0.1") as wrapped,
        ):
            return serial_of(wrapped.getpeercert())

    def _touch(self) -> None:
        socket.create_connection(("127.0.0.1", self.port), timeout=10).close()

    def _moved(self, text: str) -> str:
        where = {
            "/etc/nats/nats.conf": f"{self.folder}/nats.conf",
            "/etc/tls": f"{self.folder}/tls",
            "/etc/minio": f"{self.folder}/tls",
            "/data": f"{self.folder}/data",
            "0.0.0.0:4222": f"127.0.0.1:{self.port}",
            'http: "0.0.0.0:8222"': "",
            "=:8333": f"=127.0.0.1:{self.port}",
            "sleep 10": "sleep 0.2",
        }
        for old, new in where.items():
            text = text.replace(old, new)
        return text


def serial_of(certificate: Any) -> str:
    """Serial number in what `ssl` says of a certificate."""
    return str(certificate["serialNumber"])
