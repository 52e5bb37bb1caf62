"""The generator, and the files it keeps."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import ConfigDict, Field

from armonik_sdk.api.crd import DEFINITIONS, crds
from armonik_sdk.api.errors import NotStructural
from armonik_sdk.api.kinds.base import ApiModel
from armonik_sdk.api.kinds.schema import SCHEMA_DEFAULT, cel, rules
from armonik_sdk.api.schema import structural_schema

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("armonik_hack_crds", ROOT / "hack" / "crds.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_files_are_what_the_models_say(tool: ModuleType) -> None:
    assert tool.stale() == [], "run `make crds`"


def test_both_folders_hold_the_same_bytes() -> None:
    names = [f"armonik.io_{plural}.yaml" for plural in ("partitions", "sessions", "tasks")]
    chart = ROOT / "charts" / "armonik" / "crds"
    assert sorted(path.name for path in chart.iterdir()) == names
    assert all((ROOT / "crds" / name).read_bytes() == (chart / name).read_bytes() for name in names)


@pytest.mark.parametrize("name", crds())
def test_the_yaml_means_the_definition(name: str) -> None:
    assert yaml.safe_load((ROOT / "crds" / name).read_text()) == crds()[name]


def test_a_stale_missing_or_foreign_file_is_noticed(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    monkeypatch.setattr(tool, "FOLDERS", (tmp_path / "crds",))
    monkeypatch.setattr("sys.argv", ["crds.py"])
    assert tool.main() == 0
    assert tool.stale() == []

    (tmp_path / "crds" / "armonik.io_tasks.yaml").write_text("old")
    (tmp_path / "crds" / "armonik.io_sessions.yaml").unlink()
    (tmp_path / "crds" / "armonik.io_results.yaml").write_text("kind without a model")
    monkeypatch.setattr("sys.argv", ["crds.py", "--check"])
    assert {path.name for path in tool.stale()} == {
        "armonik.io_tasks.yaml",
        "armonik.io_sessions.yaml",
        "armonik.io_results.yaml",
    }
    assert tool.main() == 1


def test_the_operator_may_change_what_it_is_given() -> None:
    first = crds()["armonik.io_tasks.yaml"]
    first["spec"]["versions"].clear()
    assert crds()["armonik.io_tasks.yaml"]["spec"]["versions"]


def test_names_are_those_of_the_contract() -> None:
    names = {d.kind: (d.name, d.short_name) for d in DEFINITIONS}
    assert names == {
        "Session": ("sessions.armonik.io", "aks"),
        "Task": ("tasks.armonik.io", "tk"),
        "Partition": ("partitions.armonik.io", "akp"),
    }


# The translation -----------------------------------------------------------------------------------------


class Inner(ApiModel):
    """An inner thing."""

    model_config = ConfigDict(json_schema_extra=rules(cel("has(self.word)", "inner")))

    word: str | None = None
    """A word."""


class Outer(ApiModel):
    """An outer thing
    on two lines."""

    inner: Annotated[Inner, Field(json_schema_extra=rules(cel("true", "outer")))]
    """The inner thing here."""
    choice: Literal["a", "b"] | None = None
    only: Literal[True] | None = None
    small: Annotated[int, Field(ge=1, le=9)] = 3
    large: int = 0
    kept: Annotated[int, Field(le=5, json_schema_extra=SCHEMA_DEFAULT)] = 2
    texts: dict[str, Annotated[str, Field(max_length=5)]] | None = None


def test_translation() -> None:
    assert structural_schema(Outer) == {
        "description": "An outer thing on two lines.",
        "type": "object",
        "required": ["inner"],
        "properties": {
            "inner": {
                "description": "The inner thing here.",
                "type": "object",
                "properties": {"word": {"description": "A word.", "type": "string"}},
                "x-kubernetes-validations": [
                    {"rule": "has(self.word)", "message": "inner"},
                    {"rule": "true", "message": "outer"},
                ],
            },
            "choice": {"type": "string", "enum": ["a", "b"]},
            "only": {"type": "boolean", "enum": [True]},
            "small": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 9},
            "large": {"type": "integer", "format": "int64", "maximum": 2**53 - 1},
            "kept": {"type": "integer", "format": "int32", "maximum": 5, "default": 2},
            "texts": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 5}},
        },
    }


class Recursive(ApiModel):
    child: "Recursive | None" = None


class TwoTypes(ApiModel):
    value: int | str


class Exclusive(ApiModel):
    value: Annotated[int, Field(gt=0)]


class Anything(ApiModel):
    value: dict[str, Any]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Recursive, "Recursive contains itself"),
        (TwoTypes, "TwoTypes.value: a field has one type, not 2"),
        (Exclusive, "Exclusive.value: Kubernetes has no 'exclusiveMinimum'"),
        (Anything, "Anything.value: a map needs a type for its values"),
    ],
)
def test_what_kubernetes_has_no_word_for_is_refused(model: type[ApiModel], message: str) -> None:
    with pytest.raises(NotStructural, match=message):
        structural_schema(model)
