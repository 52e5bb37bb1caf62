"""Which cluster is chosen, and that local ones keep out of each other's way."""

import ipaddress
from itertools import combinations
from pathlib import Path

import pytest
from hack.cluster import choose, kind
from hack.cluster.down import take_down
from hack.cluster.settings import INSTANCES, Cache, Instance
from hack.cluster.shell import ClusterError
from stubs import DOCKER_28, Machine

NO_DOCKER = "Docker is not installed"


@pytest.fixture
def alone(machine: Machine) -> Machine:
    """A machine without Docker where nothing can be run locally, and nothing is asked for."""
    machine.patch.setattr(choose, "can_run_locally", lambda: False)
    return machine


def test_a_context_that_is_named_wins(alone: Machine) -> None:
    alone.patch.setenv("KUBECONTEXT", "staging")
    alone.patch.setenv("ARMONIK_CLUSTER_DRIVER", "local")
    alone.has("docker", DOCKER_28)
    assert choose.choose_driver() == "context"


def test_docker_wins_over_local(alone: Machine) -> None:
    alone.has("docker", DOCKER_28)
    alone.patch.setattr(choose, "can_run_locally", lambda: True)
    assert choose.choose_driver() == "kind"
    alone.patch.setenv("ARMONIK_CLUSTER_DRIVER", "local")
    assert choose.choose_driver() == "local"


def test_local_without_docker(alone: Machine) -> None:
    alone.patch.setattr(choose, "can_run_locally", lambda: True)
    assert choose.choose_driver() == "local"


def test_nothing_to_use_says_what_to_install(alone: Machine) -> None:
    with pytest.raises(ClusterError, match=rf"{NO_DOCKER} .* or run as root on Debian 12 .* KUBECONTEXT"):
        choose.choose_driver()


def test_a_user_outside_of_group_docker_learns_how_to_join_it(alone: Machine) -> None:
    alone.has("docker", {"version": "echo permission denied >&2; exit 1"})
    with pytest.raises(ClusterError, match="usermod -aG docker") as raised:
        choose.choose_driver()
    assert "not installed" not in str(raised.value)


def test_kind_that_was_asked_for_is_not_replaced_by_anything_else(alone: Machine) -> None:
    alone.patch.setattr(choose, "can_run_locally", lambda: True)
    alone.patch.setenv("ARMONIK_CLUSTER_DRIVER", "kind")
    with pytest.raises(ClusterError, match=f"ARMONIK_CLUSTER_DRIVER is kind, but {NO_DOCKER}"):
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


def test_a_local_control_plane_has_one_of_few_names_and_kind_any(alone: Machine) -> None:
    alone.patch.setenv("ARMONIK_CLUSTER", "mine")
    instance = Instance.from_environ(Cache(alone.cache))
    assert kind.cluster_name(instance) == "armonik-mine"
    with pytest.raises(ClusterError, match="must be one of local, ci, probe"):
        instance.check_local()


@pytest.mark.parametrize("name", ["Mine", "-a", "a/b", "a" * 31, "../a"])
def test_what_can_be_no_name_of_a_cluster_is_refused(alone: Machine, name: str) -> None:
    alone.patch.setenv("ARMONIK_CLUSTER", name)
    with pytest.raises(ClusterError, match=r"ARMONIK_CLUSTER is .* must be at most 30 lower-case"):
        Instance.from_environ(Cache(alone.cache))


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
