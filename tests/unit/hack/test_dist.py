"""A release has one version, wherever it is written."""

import re
import shutil
from pathlib import Path

import pytest
from hack.cluster.settings import REPOSITORY, Cache
from hack.cluster.shell import ClusterError
from hack.dist.__main__ import make
from hack.dist.version import PACKAGES, release_version
from stubs import Machine

PLACES = [f"{package}/pyproject.toml" for package in PACKAGES] + ["charts/armonik/Chart.yaml", "CHANGELOG.md"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of all files that name the version."""
    for place in PLACES:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / place, tmp_path / place)
    return tmp_path


def test_all_places_have_the_same_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", release_version(REPOSITORY))


@pytest.mark.parametrize(
    ("place", "pattern", "named"),
    [
        ("operator/pyproject.toml", r'^version = ".*"', "version in operator/pyproject.toml"),
        ("agent/pyproject.toml", r"armonik-k8s-sdk==[\d.]+", "armonik-k8s-sdk in agent/pyproject.toml"),
        ("charts/armonik/Chart.yaml", r"^version: .*", "version in charts/armonik/Chart.yaml"),
        ("charts/armonik/Chart.yaml", r"^appVersion: .*", "appVersion in charts/armonik/Chart.yaml"),
        ("CHANGELOG.md", r"^## \d\S*", "the newest release in CHANGELOG.md"),
    ],
)
def test_a_place_with_another_version_is_named(tree: Path, place: str, pattern: str, named: str) -> None:
    text = (tree / place).read_text()
    found = re.search(pattern, text, re.MULTILINE)
    assert found
    other = re.sub(r"\d+\.\d+\.\d+", "9.9.9", found[0])
    (tree / place).write_text(text.replace(found[0], other))
    with pytest.raises(ClusterError, match=re.escape(f"{named} has 9.9.9")):
        release_version(tree)


def test_an_archive_of_a_worker_of_functions_names_its_python(offline: Machine, tmp_path: Path) -> None:
    """As the chart expects the tag, so nobody has to give it another one."""
    version = release_version(REPOSITORY)
    make(["worker-python3.13"], tmp_path, Cache(offline.cache))
    tag = f"{version}-python3.13"
    assert (tmp_path / f"armonik-worker-python-{tag}.tar").exists()
    assert offline.calls("buildah")[-1].endswith(f":localhost/armonik-worker-python:{tag}")
    assert f"armonik-worker-python-{tag}.tar" in (tmp_path / "SHA256SUMS").read_text()


def test_every_distribution_carries_the_licence() -> None:
    text = (REPOSITORY / "LICENSE").read_text()
    for package in PACKAGES:
        assert (REPOSITORY / package / "LICENSE").read_text() == text
