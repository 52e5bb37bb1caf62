"""Configuration files and command lines of the local cluster's programs."""

from __future__ import annotations

import json
from pathlib import Path

from .pki import NODE_NAME
from .settings import PAUSE_IMAGE, Instance

_ETCD = "http://127.0.0.1:2379"  # loopback of the cluster's own network namespace
_ETCD_PEER = "http://127.0.0.1:2380"


def write_configs(instance: Instance) -> None:
    """Write all configuration files."""
    state = instance.state
    for folder in ("cni", "volumes", "logs", "pods-logs", "kubelet-plugins"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    (state / "containerd.toml").write_text(_containerd(instance))
    (state / "kubelet.yaml").write_text(_kubelet(instance))
    (state / "audit-policy.yaml").write_text(_AUDIT_POLICY)
    (state / "cni" / "10-bridge.conflist").write_text(json.dumps(_cni(instance), indent=2))


def etcd(instance: Instance) -> list[str | Path]:
    """Command line of etcd."""
    urls = ["--listen-client-urls", _ETCD, "--advertise-client-urls", _ETCD]
    urls += ["--listen-peer-urls", _ETCD_PEER, "--initial-advertise-peer-urls", _ETCD_PEER]
    urls += ["--initial-cluster", f"default={_ETCD_PEER}"]
    return [_program(instance, "etcd"), "--data-dir", instance.state / "etcd", *urls, "--log-level", "warn"]


def apiserver(instance: Instance) -> list[str | Path]:
    """Command line of kube-apiserver. Feature gates and defaults are upstream's."""
    pki = instance.state / "pki"
    return [
        _program(instance, "kube-apiserver"),
        *("--etcd-servers", _ETCD),
        *("--bind-address", "0.0.0.0", "--advertise-address", instance.node_ip, "--secure-port", "6443"),
        *("--client-ca-file", pki / "ca.crt"),
        *("--tls-cert-file", pki / "apiserver.crt", "--tls-private-key-file", pki / "apiserver.key"),
        *("--service-account-key-file", pki / "service-accounts.pub"),
        *("--service-account-signing-key-file", pki / "service-accounts.key"),
        *("--service-account-issuer", "https://kubernetes.default.svc.cluster.local"),
        *("--service-cluster-ip-range", instance.service_cidr),
        *("--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction"),
        "--allow-privileged=true",
        *("--kubelet-client-certificate", pki / "admin.crt", "--kubelet-client-key", pki / "admin.key"),
        # Node names do not resolve here: without this, `kubectl logs` and `exec` fail.
        *(
            "--kubelet-certificate-authority",
            pki / "ca.crt",
            "--kubelet-preferred-address-types",
            "InternalIP",
        ),
        *(
            "--audit-policy-file",
            instance.state / "audit-policy.yaml",
            "--audit-log-path",
            instance.audit_log,
        ),
        *("--audit-log-maxsize", "64", "--audit-log-maxbackup", "2"),
    ]


def controller_manager(instance: Instance) -> list[str | Path]:
    """Command line of kube-controller-manager."""
    pki = instance.state / "pki"
    return [
        _program(instance, "kube-controller-manager"),
        *("--kubeconfig", pki / "kube-controller-manager.kubeconfig", "--leader-elect=false"),
        *(
            "--service-account-private-key-file",
            pki / "service-accounts.key",
            "--root-ca-file",
            pki / "ca.crt",
        ),
        *("--use-service-account-credentials", "--allocate-node-cidrs", "--cluster-cidr", instance.pod_cidr),
        *("--flex-volume-plugin-dir", instance.state / "kubelet-plugins"),
        *("--cluster-signing-cert-file", pki / "ca.crt", "--cluster-signing-key-file", pki / "ca.key"),
    ]


def scheduler(instance: Instance) -> list[str | Path]:
    """Command line of kube-scheduler."""
    kubeconfig = instance.state / "pki" / "kube-scheduler.kubeconfig"
    return [_program(instance, "kube-scheduler"), "--kubeconfig", kubeconfig, "--leader-elect=false"]


def containerd(instance: Instance) -> list[str | Path]:
    """Command line of containerd."""
    return ["containerd", "--config", instance.state / "containerd.toml"]


def kubelet(instance: Instance) -> list[str | Path]:
    """Command line of the kubelet."""
    return [
        _program(instance, "kubelet"),
        *("--config", instance.state / "kubelet.yaml", "--root-dir", instance.state / "kubelet"),
        *("--kubeconfig", instance.state / "pki" / "kubelet.kubeconfig"),
        *("--hostname-override", NODE_NAME, "--node-ip", instance.node_ip),
    ]


def kube_proxy(instance: Instance) -> list[str | Path]:
    """Command line of kube-proxy."""
    return [
        _program(instance, "kube-proxy"),
        *("--kubeconfig", instance.state / "pki" / "kube-proxy.kubeconfig", "--hostname-override", NODE_NAME),
        *("--proxy-mode", "nftables", "--cluster-cidr", instance.pod_cidr, "--conntrack-max-per-core", "0"),
    ]


def volume_provisioner(instance: Instance) -> list[str | Path]:
    """Command line of the program behind the default StorageClass."""
    return [
        _program(instance, "volume-provisioner"),
        *("--kubeconfig", instance.kubeconfig, "--root", instance.state / "volumes", "--node", NODE_NAME),
    ]


def _program(instance: Instance, name: str) -> Path:
    return instance.cache.bin / name


def _containerd(instance: Instance) -> str:
    # restrict_oom_score_adj: where the machine gives no CAP_SYS_RESOURCE, every sandbox dies without it.
    # netns_mounts_under_state_dir: pods' namespaces lie in our folder, not in the machine's /run/netns.
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""\
version = 2
root = "{instance.state}/containerd"
state = "{instance.run}/containerd"
[grpc]
  address = "{instance.socket}"
[{cri}]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  sandbox_image = "{PAUSE_IMAGE}"
  [{cri}.cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{instance.state}/cni"
  [{cri}.containerd]
    snapshotter = "overlayfs"
    [{cri}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [{cri}.containerd.runtimes.runc.options]
        Root = "{instance.run}/runc"
[plugins."io.containerd.internal.v1.opt"]
  path = "{instance.state}/opt"
"""


def _cni(instance: Instance) -> dict[str, object]:
    # Leases of addresses lie with what a reboot takes away: after it no pod holds one.
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": instance.node_pod_cidr}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": f"{instance.run}/addresses",
    }
    bridge = {"type": "bridge", "bridge": "pods", "isGateway": True, "hairpinMode": True, "ipam": ipam}
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": instance.cgroup, "plugins": [bridge, portmap]}


def _kubelet(instance: Instance) -> str:
    state = instance.state
    # Images cannot be pulled again, so the kubelet never collects them and never evicts for disk space.
    # A Secret that changed reaches the pods that mount it at a sync; tests wait for that.
    return f"""\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
cgroupRoot: /{instance.cgroup}
failSwapOn: false
failCgroupV1: false
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: {state}/pki/ca.crt}}
authorization: {{mode: Webhook}}
tlsCertFile: {state}/pki/kubelet.crt
tlsPrivateKeyFile: {state}/pki/kubelet.key
clusterDomain: cluster.local
clusterDNS: [{instance.dns_ip}]
resolvConf: ""
containerRuntimeEndpoint: unix://{instance.socket}
podLogsDir: {state}/pods-logs
volumePluginDir: {state}/kubelet-plugins
imageGCHighThresholdPercent: 100
evictionHard: {{}}
syncFrequency: 15s
maxPods: 200
"""


# Only writes to our own kinds: tests count them, nothing else would be read by anybody.
_AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
  resources: [{group: armonik.io}]
- level: None
"""
