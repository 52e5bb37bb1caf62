"""What the apiserver refuses, by which message; what it accepts; which changes it allows."""

import copy
import re
from typing import Any

import pytest
from apiserver import ApiServer
from bad_manifests import BAD
from manifests import Bad, partition, pods, session, task
from schema_cases import cases

from armonik_sdk.api.errors import InvalidManifest
from armonik_sdk.api.kinds import Partition, Session, Task

pytestmark = pytest.mark.integration

KINDS = {"Session": Session, "Task": Task, "Partition": Partition}


def test_the_table_has_enough_rows_and_no_row_twice() -> None:
    assert len(BAD) >= 40
    assert len({(bad.manifest["kind"], bad.name) for bad in BAD}) == len(BAD)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.manifest['kind']}: {bad.name}")
def test_the_apiserver_refuses_and_names_the_field(apiserver: ApiServer, namespace: str, bad: Bad) -> None:
    code, answer = create(apiserver, namespace, bad.manifest)

    assert code in (400, 422), answer
    field, message = first_complaint(answer)
    assert field == bad.field
    assert bad.message in message


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.manifest['kind']}: {bad.name}")
def test_the_models_refuse_the_same(bad: Bad) -> None:
    """The client says no before the apiserver does, from the same source."""
    with pytest.raises(InvalidManifest):
        KINDS[bad.manifest["kind"]].from_manifest(bad.manifest)


@pytest.mark.parametrize("kind", KINDS)
def test_every_bound_of_every_field_is_kept_and_the_complaint_names_the_field(
    apiserver: ApiServer, namespace: str, kind: str
) -> None:
    """Too small, too large, of another type, unknown: for each field, as its definition has it."""
    good = {"Session": session({}), "Task": task({}), "Partition": partition({})}[kind]
    made, wrong = cases(kind), []
    for case in made:
        code, answer = create(apiserver, namespace, case.put(good))
        causes = answer.get("details", {}).get("causes", [])
        told = [c["message"] for c in causes if c["field"] == case.field]
        if case.what == "unknown":
            told = [answer["message"]] if f'unknown field "{case.field}"' in answer["message"] else []
        if code not in (400, 422) or not any(case.says in message for message in told):
            wrong.append(f"{case.field}: {case.what}: {code} {answer.get('message', '')[:200]}")
    assert wrong == []
    assert len(made) > 50


def test_what_kubectl_apply_prints_names_the_field_on_its_first_line(
    apiserver: ApiServer, namespace: str
) -> None:
    two_wrongs = session({"desiredState": "Stopped"})
    refused = apiserver.kubectl("apply", "-n", namespace, "-f", "-", stdin=two_wrongs)
    assert refused.returncode == 1
    lines = refused.stderr.splitlines()
    assert lines[0] == 'The Session "s" is invalid: '
    assert lines[1].startswith('* spec.desiredState: Unsupported value: "Stopped"')

    one_wrong = apiserver.kubectl(
        "apply", "-n", namespace, "-f", "-", stdin=task({"count": 1, "items": [{}]})
    )
    assert one_wrong.returncode == 1
    assert one_wrong.stderr.splitlines()[0] == (
        'The Task "t" is invalid: spec: Invalid value: "object": at most one of count, items, itemsRef'
    )

    misspelt = apiserver.kubectl("apply", "-n", namespace, "-f", "-", stdin=pods({"hostNetwork": True}))
    assert misspelt.returncode == 1
    assert 'unknown field "spec.template.spec.hostNetwork"' in misspelt.stderr.splitlines()[0]


def create(apiserver: ApiServer, namespace: str, manifest: dict[str, Any]) -> tuple[int, Any]:
    """Create as kubectl does, with strict field validation."""
    path = f"/apis/armonik.io/v1alpha1/namespaces/{namespace}/{manifest['kind'].lower()}s"
    return apiserver.request("POST", f"{path}?fieldValidation=Strict", copy.deepcopy(manifest))


def first_complaint(answer: dict[str, Any]) -> tuple[str, str]:
    """Field and message of the first complaint; later ones only say that more was not checked."""
    unknown = re.search(r'strict decoding error: unknown field "([^"]*)"', answer["message"])
    if unknown:
        return unknown[1], unknown[0]
    cause = answer["details"]["causes"][0]
    return cause["field"], cause["message"]
