"""What a build is given by Docker and by buildah."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hack.cluster.settings import REPOSITORY, Cache
from hack.cluster.shell import ClusterError
from hack.images import engines
from hack.images.__main__ import build
from hack.images.catalogue import IMAGES
from hack.images.engines import BuildahEngine, DockerEngine, Engine
from stubs import Machine

INDEX = "https://packages.example/simple"
KEEP = 'for word; do case "$word" in id=pip,src=*) cat "${word#id=pip,src=}" > "$KEPT" ;; esac; done'


@pytest.mark.parametrize("engine", ["docker", "buildah"])
def test_a_company_s_index_and_authority_reach_builds_as_secrets(
    machine: Machine, engine: str, tmp_path: Path
) -> None:
    machine.patch.setenv("PIP_INDEX_URL", INDEX)
    machine.patch.setenv("KEPT", str(tmp_path / "pip.conf"))
    certificates = tmp_path / "ca.crt"
    certificates.touch()
    machine.patch.setattr(engines, "_CERTIFICATES", certificates)
    machine.patch.setattr(engines, "ensure_packages", lambda packages: None)
    machine.has(engine, {"build": KEEP, "--root": KEEP})
    building: Engine = DockerEngine() if engine == "docker" else BuildahEngine(Cache(machine.cache))
    building.build("localhost/armonik-x:1", Path("Dockerfile"), (), tmp_path / "log")
    (call,) = machine.calls(engine)
    assert f"--secret id=ca,src={certificates}" in call
    assert INDEX not in call, "it may carry a password, and arguments are seen by everybody"
    kept = (tmp_path / "pip.conf").read_text()
    assert f"index-url = {INDEX}" in kept
    assert "cert = /run/secrets/ca" in kept


def test_every_image_that_installs_packages_takes_the_secrets() -> None:
    for image in IMAGES:
        text = image.dockerfile.read_text()
        if image.program:
            assert "RUN --mount" not in text
            continue
        assert "pip --python" in text
        mounts = re.search(r"^RUN (--mount.*)\\\n    python3 -m venv /opt/pip", text, re.MULTILINE)
        assert mounts, image.name
        assert "--mount=type=secret,id=pip,target=/etc/pip.conf" in mounts[1]
        assert "--mount=type=secret,id=ca" in mounts[1]


@pytest.mark.parametrize("engine", ["docker", "buildah"])
def test_a_program_in_go_reaches_its_image(machine: Machine, engine: str, tmp_path: Path) -> None:
    machine.patch.setattr(engines, "ensure_packages", lambda packages: None)
    machine.has(engine)
    building: Engine = DockerEngine() if engine == "docker" else BuildahEngine(Cache(machine.cache))
    (image,) = (each for each in IMAGES if each.name == "versitygw")
    building.build("localhost/x:1", image.dockerfile, image.arguments, tmp_path / "log", tmp_path)
    (call,) = machine.calls(engine)
    assert f"--build-context programs={tmp_path}" in call
    assert "--build-arg SERVER=versitygw" in call
    assert "COPY --from=programs ${SERVER} " in image.dockerfile.read_text()


DUMP = "dump --no-empty Acquire::Check-Valid-Until"


def test_with_docker_workers_start_from_the_official_image_of_their_python() -> None:
    assert DockerEngine().base() == "docker.io/library/python:3.12-slim"
    assert DockerEngine().base("3.14") == "docker.io/library/python:3.14-slim"


@pytest.mark.parametrize(("python", "suite"), [("", "bookworm"), ("3.13", "trixie"), ("3.14", "forky")])
def test_without_docker_they_start_from_the_debian_that_has_it(
    offline: Machine, python: str, suite: str
) -> None:
    engine = BuildahEngine(Cache(offline.cache))
    assert engine.base(python) == f"localhost/armonik-python-base:{suite}"
    assert engine.base(python)
    (call,) = offline.calls("mmdebstrap")
    assert call.endswith(f" {suite} {offline.cache}/images/python-base-{suite}.tar")
    assert f'sys.exit(v != "{python or "3.11"}"' in call, "a suite that has moved on must not pass for it"
    assert offline.calls("buildah")[-2].endswith(f"localhost/armonik-python-base:{suite}")


def test_a_python_that_no_debian_has_is_refused_with_those_that_there_are(offline: Machine) -> None:
    with pytest.raises(ClusterError, match=r"Debian has no Python 3\.12, but 3\.11, 3\.13, 3\.14.*Docker"):
        BuildahEngine(Cache(offline.cache)).base("3.12")
    assert offline.calls("mmdebstrap") == []


def test_this_machine_s_word_on_the_age_of_mirrors_reaches_the_base_image_s_build(offline: Machine) -> None:
    setting = 'Acquire::Check-Valid-Until "false";'
    offline.has("apt-config", {DUMP: f"echo '{setting}'"})
    BuildahEngine(Cache(offline.cache)).base("3.14")
    (call,) = offline.calls("mmdebstrap")
    assert f"--aptopt={setting}" in call
    assert "apt.conf.d/99mmdebstrap" in call, "the image keeps nothing of it"


def test_the_worker_of_another_python_is_built_from_its_base(offline: Machine) -> None:
    (image,) = (each for each in IMAGES if each.name == "worker-python3.13")
    name = build(BuildahEngine(Cache(offline.cache)), image, Cache(offline.cache))
    assert name.endswith("-python3.13")
    (built,) = (call for call in offline.calls("buildah") if " bud " in call)
    assert "--build-arg BASE=localhost/armonik-python-base:trixie" in built
    assert offline.calls("buildah")[-1].endswith(f"tag {name} localhost/armonik-worker-python:dev-python3.13")


def test_the_workflow_runs_the_two_commands_of_the_readme() -> None:
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/test.yml").read_text())
    (job,) = workflow["jobs"].values()
    always = [step["run"] for step in job["steps"] if "run" in step and "if" not in step]
    assert always == ["make demo", "make test", "make dist"]


def test_the_workflow_saves_what_was_built_before_it_deletes_it() -> None:
    """`actions/cache` would save at the end of the job, when clean-cache has deleted the folder."""
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/test.yml").read_text())
    (job,) = workflow["jobs"].values()
    uses = [step.get("uses", step.get("run", "")).split("@")[0] for step in job["steps"]]
    assert "actions/cache" not in uses
    restored, saved = (uses.index(f"actions/cache/{action}") for action in ("restore", "save"))
    assert restored < uses.index("make demo") < saved < uses.index("make clean-cache")
    paths = [job["steps"][at]["with"]["path"] for at in (restored, saved)]
    assert paths[0] == paths[1]
