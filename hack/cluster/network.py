"""The cluster's network: a namespace of its own, on one wire to this machine, with no way out.

Nothing of the machine's own network is changed but for one link, the routes on it, and routes that refuse the
same addresses should the link vanish. Inside there is no default route: a packet for anything that is not the
node, a pod or this machine has nowhere to go, and one for a Service or pod that does not exist (or while
kube-proxy is down) ends in a bridge without ports.
"""

from __future__ import annotations

import os

from .settings import Instance
from .shell import run, succeeds

_LAST_METRIC = "9999"


def ensure_network(instance: Instance) -> None:
    """Make the namespace, the wire and the routes, as far as they are missing."""
    if not _is_namespace(instance):
        instance.run.mkdir(parents=True, exist_ok=True)
        instance.netns.touch()
        run("unshare", f"--net={instance.netns}", "true")
    _hold_addresses(instance)
    outer, inner = succeeds("ip", "link", "show", instance.link), _has_link(instance, "eth0")
    if not (outer and inner):
        _lay_wire(instance)


def remove_network(instance: Instance) -> None:
    """Take the wire and the namespace away; everything inside goes with them."""
    if succeeds("ip", "link", "show", instance.link):
        run("ip", "link", "delete", instance.link)
    if _is_namespace(instance):
        run("umount", "--lazy", instance.netns)
    instance.netns.unlink(missing_ok=True)
    for cidr in _addresses(instance):
        # Absent when the cluster was never up, or was brought down already.
        succeeds("ip", "route", "delete", "unreachable", cidr, "metric", _LAST_METRIC)


def inside(instance: Instance, *command: str) -> str:
    """Run a program in the cluster's network."""
    return run("nsenter", f"--net={instance.netns}", "--", *command)


def _hold_addresses(instance: Instance) -> None:
    """Refuse the cluster's addresses should the link vanish, which takes its own routes with it.

    The machine's default route would otherwise carry requests of clients that know the cluster to whoever
    answers there. These routes hang on no link, and any other goes before them.
    """
    for cidr in _addresses(instance):
        run("ip", "route", "replace", "unreachable", cidr, "metric", _LAST_METRIC)


def _addresses(instance: Instance) -> tuple[str, ...]:
    return (instance.wire_cidr, instance.service_cidr, instance.pod_cidr)


def _lay_wire(instance: Instance) -> None:
    if succeeds("ip", "link", "show", instance.link):
        run("ip", "link", "delete", instance.link)
    inside(instance, "ip", "link", "set", "lo", "up")
    peer = ("peer", "name", instance.link, "netns", str(os.getpid()))
    inside(instance, "ip", "link", "add", "eth0", "type", "veth", *peer)
    inside(instance, "ip", "address", "add", f"{instance.node_ip}/30", "dev", "eth0")
    inside(instance, "ip", "link", "set", "eth0", "up")
    if not _has_link(instance, "sink"):
        inside(instance, "ip", "link", "add", "sink", "type", "bridge")
    inside(instance, "ip", "link", "set", "sink", "up")
    for cidr in (instance.service_cidr, instance.pod_cidr):
        last = ("metric", _LAST_METRIC, "src", instance.node_ip)  # any other route goes before it
        inside(instance, "ip", "route", "replace", cidr, "dev", "sink", *last)
    # Every packet that cannot go anywhere is answered so at once: by default the answers are rationed.
    for setting, value in {"ip_forward": 1, "icmp_ratelimit": 0}.items():
        inside(instance, "sh", "-c", f"echo {value} > /proc/sys/net/ipv4/{setting}")

    run("ip", "address", "add", f"{instance.host_ip}/30", "dev", instance.link)
    run("ip", "link", "set", instance.link, "up")
    for cidr in (instance.service_cidr, instance.pod_cidr):
        run("ip", "route", "replace", cidr, "via", instance.node_ip, "dev", instance.link)


def _has_link(instance: Instance, name: str) -> bool:
    return succeeds("nsenter", f"--net={instance.netns}", "--", "ip", "link", "show", name)


def _is_namespace(instance: Instance) -> bool:
    return succeeds("nsenter", f"--net={instance.netns}", "true")
