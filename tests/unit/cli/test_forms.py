"""What commands write for programs is what docs/reference/cli-output.md says."""

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from hack.generate.cli_output import FORMS, PAGE, schema
from pydantic import BaseModel, ValidationError

from armonik_sdk.api.results import ResultState
from armonik_sdk.cli.actions import versions
from armonik_sdk.cli.actions.daily.calling import line
from armonik_sdk.cli.actions.results import as_object
from armonik_sdk.cli.doctor.findings import failure, ok
from armonik_sdk.cli.forms.base import Part
from armonik_sdk.cli.forms.installation import CheckResult, Diagnosis, Result, Version
from armonik_sdk.cli.forms.tasks import CallResult, TaskResult, TaskTree, TreeTask
from armonik_sdk.cli.forms.top import Top
from armonik_sdk.cli.frame.settings import Settings
from armonik_sdk.cli.main import main
from armonik_sdk.cli.output.remarks import write_form, write_line
from armonik_sdk.client.results.base import ResultInfo
from armonik_sdk.explain.explanation import Explanation


def check(model: type[BaseModel], value: Any) -> None:
    """It fits the documented schema, and has no field that this does not know."""
    jsonschema.validate(value, schema(model), format_checker=jsonschema.FormatChecker())
    if issubclass(model, Part):
        model.model_validate(value)


def test_version_is_as_documented(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "--client", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    check(Version, found)
    assert "operator" not in found
    versions.write(Settings(output="json"), operator="")
    check(Version, json.loads(capsys.readouterr().out))


def test_a_diagnosis_is_as_documented(capsys: pytest.CaptureFixture[str]) -> None:
    checks = [
        CheckResult.model_validate(one.as_json()) for one in (ok("nats", "a"), failure("store", "b", "c"))
    ]
    assert write_form(Settings(output="jsonl"), Diagnosis(problems=1, warnings=0, checks=checks))
    found = json.loads(capsys.readouterr().out)
    check(Diagnosis, found)
    assert found["checks"][0] == {"check": "nats", "level": "ok", "text": "a"}


@pytest.mark.parametrize("value", [49, None, {"a": [1]}, {1, 2}, ValueError("no")])
def test_a_line_of_run_is_as_documented(value: Any) -> None:
    check(CallResult, json.loads(line(3, value)))


def test_results_of_sessions_are_as_documented() -> None:
    info = ResultInfo(id="r", state=ResultState.ABORTED, size=None, task="", index=0, reason="lost")
    found = as_object(info, "default")
    check(Result, found)
    assert found["reason"] == "lost"
    assert "size" not in found


def test_trees_and_results_of_tasks_are_as_documented(capsys: pytest.CaptureFixture[str]) -> None:
    leaf = TreeTask(name="b", uid="2", phase="Completed", progress="1/1", children=[])
    root = TreeTask(name="a", uid="1", phase="Processing", progress="", children=[leaf])
    write_form(Settings(output="json"), TaskTree(root=root))
    check(TaskTree, json.loads(capsys.readouterr().out))
    write_line(Settings(output="json"), TaskResult(task="a", index=0, output="result", size=1, text="x"))
    found = capsys.readouterr().out
    assert found.count("\n") == 1
    check(TaskResult, json.loads(found))


def test_an_explanation_is_as_documented() -> None:
    found = Explanation(subject="task a", state="waits").model_dump_json(by_alias=True)
    check(Explanation, json.loads(found))


@pytest.mark.parametrize(
    ("model", "break_it"),
    [
        (Version, lambda value: value.pop("client")),
        (Version, lambda value: value.update(apiVersion="v2")),
        (Version, lambda value: value.update(operator=None)),
    ],
)
def test_the_schema_refuses_what_is_not_as_documented(
    model: type[BaseModel], break_it: Callable[[Any], Any]
) -> None:
    value: Any = {
        "apiVersion": "cli.armonik.io/v1",
        "kind": "Version",
        "client": {"version": "1", "python": "3"},
        "api": "a",
    }
    check(model, value)
    break_it(value)
    with pytest.raises((jsonschema.ValidationError, ValidationError)):
        check(model, value)


def test_every_form_has_a_section_and_a_text_for_every_field() -> None:
    page = PAGE.read_text()
    assert Top in FORMS
    for model in FORMS:
        assert f"\n## {model.__name__}\n" in page
        found = schema(model)
        for part in (found, *found.get("$defs", {}).values()):
            for name, said in part["properties"].items():
                assert said.keys() & {"description", "$ref"} or name in ("apiVersion", "kind"), (
                    part["title"],
                    name,
                )
