"""Images are named after what they are made of, and pinned as the lock says."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hack.cluster.settings import REPOSITORY
from hack.cluster.shell import ClusterError
from hack.images import catalogue
from hack.images.catalogue import IMAGES, PYTHONS, Image
from packaging.markers import Marker


@pytest.fixture
def image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Image:
    monkeypatch.setattr(catalogue, "REPOSITORY", tmp_path)
    (tmp_path / "images/thing").mkdir(parents=True)
    (tmp_path / "images/thing/Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "source/deep").mkdir(parents=True)
    (tmp_path / "source/deep/code.py").write_text("1\n")
    return Image("thing", ("source",), "source/deep/code.py")


def test_the_tag_changes_with_code_recipe_name_and_base(image: Image, tmp_path: Path) -> None:
    tags = [image.tag("base")]
    (tmp_path / "source/deep/code.py").write_text("2\n")
    tags.append(image.tag("base"))
    (tmp_path / "images/thing/Dockerfile").write_text("FROM scratch\nUSER 1\n")
    tags.append(image.tag("base"))
    (tmp_path / "source/deep/code.py").rename(tmp_path / "source/code.py")
    tags.append(image.tag("base"))
    tags.append(image.tag("another base"))
    tags.append(replace(image, arguments=(("WORKER", "code.py"),)).tag("another base"))
    assert len(set(tags)) == 6


def test_the_tag_ignores_what_python_leaves_behind(image: Image, tmp_path: Path) -> None:
    tag = image.tag("base")
    (tmp_path / "source/__pycache__").mkdir()
    (tmp_path / "source/__pycache__/code.pyc").write_bytes(b"x")
    assert image.tag("base") == tag


def test_an_image_without_its_code_says_what_is_missing(image: Image, tmp_path: Path) -> None:
    assert image.missing() == ""
    (tmp_path / "source/deep/code.py").unlink()
    assert image.missing() == "source/deep/code.py"


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_every_image_runs_as_nobody_from_a_base_that_can_be_chosen(image: Image) -> None:
    lines = image.dockerfile.read_text().splitlines()
    assert "ARG BASE=docker.io/library/python:3.12-slim" in lines
    assert "USER 65532:0" in lines
    assert {line.split()[1] for line in lines if line.startswith("FROM ")} == {"${BASE}"}


def test_an_idle_worker_of_ours_ends_on_a_signal() -> None:
    """Python as process 1 never sees SIGTERM."""
    workers = [image for image in IMAGES if image.name.startswith("worker-")]
    assert workers
    for image in workers:
        assert "STOPSIGNAL SIGINT" in image.dockerfile.read_text().splitlines()


def test_agent_and_workers_have_no_kubernetes_client() -> None:
    for name in ("agent", "worker"):
        pins = (REPOSITORY / f"images/requirements/{name}.txt").read_text()
        assert "kopf" not in pins
        assert "kubernetes" not in pins


def test_the_images_pins_are_those_of_the_lock() -> None:
    catalogue.check_pins()


def test_a_pin_that_differs_from_the_lock_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(catalogue, "REPOSITORY", tmp_path)
    (tmp_path / "images/requirements").mkdir(parents=True)
    (tmp_path / "requirements.lock").write_text("thing==2 ; python_version > '3'\n")
    (tmp_path / "images/requirements/agent.txt").write_text("thing==1 \\\n    --hash=sha256:00\n")
    with pytest.raises(ClusterError, match=r"agent\.txt pins thing 1, requirements\.lock 2"):
        catalogue.check_pins()


def test_what_images_are_made_of_enters_the_context_without_patterns() -> None:
    """Docker 20.10 does not look below a folder when only a pattern with a wildcard names what is in it."""
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    let_in = [line[1:] for line in lines if line.startswith("!")]
    assert [name for name in let_in if "*" in name] == []
    for image in IMAGES:
        for source in image.sources:
            assert any(Path(source).is_relative_to(name) for name in let_in), f"{image.name}: {source}"
    for name in let_in:
        assert (REPOSITORY / name).exists(), f"{name} is not there"


def _image(name: str) -> Image:
    (found,) = (image for image in IMAGES if image.name == name)
    return found


def test_workers_of_another_python_are_one_repository_with_a_tag_for_each() -> None:
    own, other = _image("worker-python"), _image("worker-python3.13")
    assert (own.repository, other.repository) == ("armonik-worker-python", "armonik-worker-python")
    assert (own.alias, other.alias) == ("dev", "dev-python3.13")
    assert other.tag("base").endswith("-python3.13")
    assert other.dockerfile == own.dockerfile
    assert (own.on_demand, other.on_demand) == (False, True)


def test_a_release_tags_workers_of_functions_as_the_chart_expects_them() -> None:
    template = (REPOSITORY / "charts/armonik/templates/functions-partition.yaml").read_text()
    assert '"%s-python%s" $.Chart.AppVersion .pythonVersion' in template
    assert _image("worker-python").release_tag("1.2.3", "3.12") == "1.2.3-python3.12"
    assert _image("worker-python3.13").release_tag("1.2.3", "3.12") == "1.2.3-python3.13"
    assert _image("worker-hello").release_tag("1.2.3", "3.12") == "1.2.3"


@pytest.mark.parametrize("python", PYTHONS)
def test_what_workers_of_functions_need_is_pinned_for_every_python(python: str) -> None:
    """Markers would leave a package out without a word."""
    pins = (REPOSITORY / "images/requirements/worker-python.txt").read_text()
    markers = set(re.findall(r"^[a-z0-9.-]+==[^ ;\\]+ ; ([^\\\n]*?) \\$", pins, re.MULTILINE))
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    assert [marker for marker in markers if not Marker(marker).evaluate(environment)] == []
