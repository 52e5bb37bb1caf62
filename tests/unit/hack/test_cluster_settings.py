"""Which cluster is chosen, and that local ones keep out of each other's way."""

import ipaddress
from itertools import combinations
from pathlib import Path

import pytest
from hack.cluster import choose
from hack.cluster.down import take_down
from hack.cluster.settings import INSTANCES, Cache, Instance
from hack.cluster.shell import ClusterError


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without Docker where nothing can be run locally, and nothing is asked for."""
    for name in ("KUBECONTEXT", "ARMONIK_CLUSTER_DRIVER", "ARMONIK_CLUSTER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(choose, "docker_answers", lambda: False)
    monkeypatch.setattr(choose, "can_run_locally", lambda: False)
    return monkeypatch


def test_a_context_that_is_named_wins(machine: pytest.MonkeyPatch) -> None:
    machine.setenv("KUBECONTEXT", "staging")
    machine.setenv("ARMONIK_CLUSTER_DRIVER", "local")
    machine.setattr(choose, "docker_answers", lambda: True)
    assert choose.choose_driver() == "context"


def test_docker_wins_over_local(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(choose, "docker_answers", lambda: True)
    machine.setattr(choose, "can_run_locally", lambda: True)
    assert choose.choose_driver() == "kind"
    machine.setenv("ARMONIK_CLUSTER_DRIVER", "local")
    assert choose.choose_driver() == "local"


def test_local_without_docker(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(choose, "can_run_locally", lambda: True)
    assert choose.choose_driver() == "local"


def test_nothing_to_use_says_what_to_install(machine: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClusterError, match=r"install Docker .* or run as root on Debian 12 .* KUBECONTEXT"):
        choose.choose_driver()


def test_only_the_local_cluster_has_an_audit_log(machine: pytest.MonkeyPatch, tmp_path: Path) -> None:
    instance = Instance("local", Cache(tmp_path))
    assert choose.environment("local", instance)["ARMONIK_AUDIT_LOG"].startswith(str(tmp_path))
    assert "ARMONIK_AUDIT_LOG" not in choose.environment("kind", instance)


def test_instances_share_no_address_name_or_folder(tmp_path: Path) -> None:
    for one, other in combinations([Instance(name, Cache(tmp_path)) for name in INSTANCES], 2):
        for mine in _networks(one):
            for theirs in _networks(other):
                assert not mine.overlaps(theirs), f"{one.name} {mine}, {other.name} {theirs}"
        assert len({one.link, other.link, one.cgroup, other.cgroup}) == 4
        assert one.run != other.run
        assert one.state != other.state


@pytest.mark.parametrize("name", INSTANCES)
def test_addresses_of_an_instance_fit_together(name: str, tmp_path: Path) -> None:
    instance = Instance(name, Cache(tmp_path))
    wire, services, pods = _networks(instance)
    assert not services.overlaps(pods)
    assert not wire.overlaps(services)
    for address in (instance.dns_ip, instance.api_service_ip):
        assert ipaddress.ip_address(address) in services
    assert ipaddress.IPv4Network(instance.node_pod_cidr).subnet_of(pods)
    for network in (wire, services, pods):
        assert network.subnet_of(ipaddress.IPv4Network("198.18.0.0/15")), "set aside for benchmarks"


def test_an_unknown_instance_is_refused(machine: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine.setenv("ARMONIK_CLUSTER", "mine")
    with pytest.raises(ClusterError, match="must be one of local, ci, probe"):
        Instance.from_environ(Cache(tmp_path))


def test_a_cluster_of_another_cache_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Instance, "run", tmp_path / "run")
    one, other = Instance("local", Cache(tmp_path / "one")), Instance("local", Cache(tmp_path / "other"))
    one.claim()
    one.claim()
    with pytest.raises(ClusterError, match="belongs to another cache"):
        other.claim()
    with pytest.raises(ClusterError, match="belongs to another cache"):
        take_down(other)


def _networks(instance: Instance) -> tuple[ipaddress.IPv4Network, ...]:
    wire = ipaddress.IPv4Network(f"{instance.host_ip}/30", strict=False)
    assert ipaddress.IPv4Address(instance.node_ip) in wire
    return (wire, ipaddress.IPv4Network(instance.service_cidr), ipaddress.IPv4Network(instance.pod_cidr))
