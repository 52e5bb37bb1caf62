"""The reference and the examples say what the models say."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from armonik_sdk.api import const
from armonik_sdk.api.crd import DEFINITIONS, crd
from armonik_sdk.api.kinds import Partition, Session, Task

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = (ROOT / "docs" / "api.md").read_text()
WORDS = set(re.findall(r"`([^`\n]+)`", REFERENCE))
KINDS = {"Session": Session, "Task": Task, "Partition": Partition}


def manifests() -> list[Any]:
    """Every manifest of ours in the reference and the examples."""
    texts = {"docs/api.md": "\n---\n".join(re.findall(r"```yaml\n(.*?)```", REFERENCE, re.DOTALL))}
    texts |= {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "examples").rglob("*.yaml")}
    return [
        pytest.param(document, id=f"{where}: {document['kind']} {document['metadata']['name']}")
        for where, text in sorted(texts.items())
        for document in yaml.safe_load_all(text)
        if isinstance(document, dict) and document.get("apiVersion") == const.GROUP_VERSION
    ]


@pytest.mark.parametrize("manifest", manifests())
def test_shown_manifests_are_valid(manifest: dict[str, Any]) -> None:
    assert KINDS[manifest["kind"]].from_manifest(manifest).to_object() == manifest


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.kind)
@pytest.mark.parametrize("part", ["spec", "status"])
def test_every_field_has_its_line(definition: Any, part: str) -> None:
    schema = crd(definition)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    fields = {
        f"{name}.{child}" if name == "submission" else name
        for name, field in schema["properties"][part]["properties"].items()
        for child in (field["properties"] if name == "submission" else [""])
    }
    assert fields - WORDS == set()


def test_every_word_that_programs_match_on_is_explained() -> None:
    enums = (const.Reason, const.FailureReason, const.ConditionType, const.SessionPhase, const.TaskPhase)
    assert {str(word) for enum in enums for word in enum} - WORDS == set()


def test_every_label_and_annotation_is_listed() -> None:
    keys = {value for name, value in vars(const).items() if name.endswith(("_LABEL", "_ANNOTATION"))}
    ours = {key for key in keys if key.startswith(f"{const.API_GROUP}/")}
    assert ours
    assert ours - {word.removesuffix(" (annotation)") for word in WORDS} == set()


def test_the_limits_in_the_text_are_those_in_the_code() -> None:
    assert f"at most {const.MAX_ELEMENTS:,}" in REFERENCE
    assert f"at most {const.MAX_ITEMS:,}:" in REFERENCE
    assert f"at most {const.MAX_DEPENDENCIES:,};" in REFERENCE
    assert f"a Partition's at most {const.MAX_PARTITION_NAME}" in REFERENCE
    assert f"at most {const.MAX_INLINE_BYTES // 1024} KiB in UTF-8" in REFERENCE
