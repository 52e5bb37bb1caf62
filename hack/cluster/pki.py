"""Certificates and kubeconfigs of a local cluster: one authority, one certificate for each program."""

from __future__ import annotations

import base64
from pathlib import Path

from .settings import Instance
from .shell import run

NODE_NAME = "local"
# Who → subject. The node authorizer knows the kubelet by its subject, RBAC the others.
_CLIENTS = {
    "admin": "/O=system:masters/CN=admin",
    "kube-controller-manager": "/CN=system:kube-controller-manager",
    "kube-scheduler": "/CN=system:kube-scheduler",
    "kube-proxy": "/CN=system:kube-proxy",
    "kubelet": f"/O=system:nodes/CN=system:node:{NODE_NAME}",
}
_EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_DAYS = "3650"


def ensure_pki(instance: Instance) -> None:
    """Make what is missing of keys, certificates and kubeconfigs."""
    folder = instance.state / "pki"
    done = folder / "complete"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    key, certificate = folder / "ca.key", folder / "ca.crt"
    subject = ("-subj", "/CN=armonik-local-ca", "-days", _DAYS)
    run("openssl", "req", "-x509", *_EC, "-keyout", key, "-out", certificate, *subject)
    _sign(
        folder,
        "apiserver",
        "/CN=kube-apiserver",
        f"IP:127.0.0.1,IP:{instance.api_service_ip},IP:{instance.node_ip},DNS:localhost,DNS:kubernetes,"
        "DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local",
    )
    for name, subject_of in _CLIENTS.items():
        serving = f"DNS:{NODE_NAME},IP:{instance.node_ip},IP:127.0.0.1"
        _sign(folder, name, subject_of, serving if name == "kubelet" else f"DNS:{name}")
        _write_secret(_kubeconfig_path(instance, name), _kubeconfig(instance, folder, name))
    tokens = folder / "service-accounts.key"
    run("openssl", "genrsa", "-out", tokens, "2048")
    run("openssl", "rsa", "-in", tokens, "-pubout", "-out", tokens.with_suffix(".pub"))
    done.touch()


def _kubeconfig_path(instance: Instance, user: str) -> Path:
    return instance.kubeconfig if user == "admin" else instance.state / "pki" / f"{user}.kubeconfig"


def _sign(folder: Path, name: str, subject: str, alternatives: str) -> None:
    request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
    extensions.write_text(f"subjectAltName={alternatives}\nextendedKeyUsage=serverAuth,clientAuth\n")
    run("openssl", "req", *_EC, "-keyout", folder / f"{name}.key", "-out", request, "-subj", subject)
    authority = ("-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-CAcreateserial")
    out = ("-out", folder / f"{name}.crt", "-extfile", extensions, "-days", _DAYS)
    run("openssl", "x509", "-req", "-in", request, *authority, *out)
    request.unlink()
    extensions.unlink()


def _kubeconfig(instance: Instance, folder: Path, user: str) -> str:
    def inline(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    context = f"armonik-{instance.name}"
    return f"""\
apiVersion: v1
kind: Config
clusters:
- name: {context}
  cluster: {{server: "https://{instance.node_ip}:6443", certificate-authority-data: {inline("ca.crt")}}}
users:
- name: {user}
  user: {{client-certificate-data: {inline(f"{user}.crt")}, client-key-data: {inline(f"{user}.key")}}}
contexts:
- name: {context}
  context: {{cluster: {context}, user: {user}}}
current-context: {context}
"""


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
