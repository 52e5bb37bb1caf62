"""Bring a local cluster up: start what does not run, keep what does."""

from __future__ import annotations

import functools
import shutil
import string
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import configs
from .build import build_cluster
from .cgroups import ensure_cgroup
from .down import take_down
from .network import ensure_network
from .pki import NODE_NAME, ensure_pki
from .processes import boot_id, ensure_running, is_running, kill_all, log_file, strays
from .settings import SOURCES, Instance
from .shell import ClusterError, locked, run, say, succeeds, wait_until
from .tools import kubectl


def bring_up(instance: Instance) -> None:
    """Bring the local cluster up and wait until it is usable.

    Whatever of it exists already is kept, also over a restart of the machine; when it does not come up
    on what it finds, the state is deleted and it starts from nothing, once.

    Raises:
        ClusterError: it does not come up; the message names the log to read.
    """
    build_cluster(instance.cache)
    with locked(instance.cache.root / "cluster" / f"{instance.name}.lock"):
        start = time.monotonic()
        existed = instance.kubeconfig.exists()
        try:
            _start(instance)
        except ClusterError as error:
            if not existed:
                raise
            say(f"the cluster does not come up on the state it left ({error}); starting from nothing")
            take_down(instance)
            _start(instance)
        took = time.monotonic() - start
        say(f"cluster {instance.name} is up ({took:.1f} s), KUBECONFIG={instance.kubeconfig}")


def _start(instance: Instance) -> None:
    _forget_last_boot(instance)
    kill_all(strays(instance))
    instance.state.mkdir(parents=True, exist_ok=True)
    ensure_cgroup(instance)
    ensure_network(instance)
    ensure_pki(instance)
    configs.write_configs(instance)
    with ThreadPoolExecutor() as pool:
        images = pool.submit(_start_containerd, instance)
        _start_apiserver(instance)
        for name, command in {
            "kube-controller-manager": configs.controller_manager(instance),
            "kube-scheduler": configs.scheduler(instance),
            "kube-proxy": configs.kube_proxy(instance),
            "volume-provisioner": configs.volume_provisioner(instance),
        }.items():
            ensure_running(instance, name, command)
        images.result()  # before any pod asks for them
        ensure_running(instance, "kubelet", configs.kubelet(instance))
    _apply_addons(instance)
    _wait_ready(instance)


def _forget_last_boot(instance: Instance) -> None:
    """After a restart of the machine nothing of the run folder is alive, even where /run is on disk."""
    instance.check_claim()
    marker = instance.run / "boot"
    if instance.run.exists() and (not marker.exists() or marker.read_text() != boot_id()):
        say("the machine was restarted since the cluster ran: bringing it back")
        shutil.rmtree(instance.run)
    instance.claim()
    marker.write_text(boot_id())


def _start_containerd(instance: Instance) -> None:
    ensure_running(instance, "containerd", configs.containerd(instance))
    _wait(instance, "containerd", lambda: succeeds(*instance.ctr, "version"))
    for name in ("pause", "coredns"):
        import_archive(instance, instance.cache.images / f"{name}.tar")


def import_archive(instance: Instance, archive: Path) -> None:
    """Give the node an image archive, unless it was given exactly this one before."""
    stamp = instance.state / "loaded" / archive.name
    identity = f"{archive.stat().st_mtime_ns} {archive.stat().st_size}"
    if stamp.exists() and stamp.read_text() == identity:
        return
    run(*instance.ctr, "images", "import", archive, timeout=300)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(identity)


def _start_apiserver(instance: Instance) -> None:
    ensure_running(instance, "etcd", configs.etcd(instance))
    ensure_running(instance, "kube-apiserver", configs.apiserver(instance))
    _wait(instance, "kube-apiserver", lambda: succeeds(*_kubectl(instance), "get", "--raw", "/readyz"))


def _apply_addons(instance: Instance) -> None:
    template = string.Template((SOURCES / "manifests" / "addons.yaml").read_text())
    manifest = template.substitute(DNS_IP=instance.dns_ip)
    run(*_kubectl(instance), "apply", "--filename", "-", stdin=manifest)


def _wait_ready(instance: Instance) -> None:
    node = ("wait", "--for=condition=Ready", f"node/{NODE_NAME}", "--timeout=30s")
    dns = ("--namespace", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=30s")
    account = ("--namespace", "default", "get", "serviceaccount", "default")
    for name, what in (("kubelet", node), ("kubelet", dns), ("kube-controller-manager", account)):
        question = (*_kubectl(instance), *what)
        _wait(instance, name, functools.partial(succeeds, *question, timeout=40))


def _wait(instance: Instance, name: str, ready: Callable[[], bool]) -> None:
    def holds() -> bool:
        if not is_running(instance, name):
            raise ClusterError(f"{name} ended, its last words:\n{_end_of_log(instance, name)}")
        return ready()

    try:
        wait_until(f"{name} answers", holds, 90, every=0.2)
    except ClusterError as error:
        raise ClusterError(f"{error}\nits log: {log_file(instance, name)}") from error


def _end_of_log(instance: Instance, name: str) -> str:
    return "\n".join(log_file(instance, name).read_text(errors="replace").splitlines()[-15:])


def _kubectl(instance: Instance) -> list[str | Path]:
    return [*kubectl(), "--kubeconfig", instance.kubeconfig]
