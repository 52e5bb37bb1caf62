"""Bad input, row by row: what the apiserver says of it, or a condition when no schema can know."""

import copy
import re
from typing import Any

import pytest
from apiserver import ApiServer
from bad_input import CHAPTERS, ROWS, Row
from bad_manifests import BAD
from bad_references import REFERENCES, TWO, with_uids
from manifests import Bad, pods, session, task
from operator_process import FakeAgent, Process, session_folder, until

from armonik_operator.clients.kube import PARTITIONS, SESSIONS, TASKS, Kube
from armonik_sdk.api.errors import InvalidManifest
from armonik_sdk.api.kinds import Partition, Session, Task

pytestmark = pytest.mark.integration

KINDS = {"Session": Session, "Task": Task, "Partition": Partition}
ADAPTERS = {"Session": SESSIONS, "Task": TASKS, "Partition": PARTITIONS}
MERGE = "application/merge-patch+json"


def test_the_table_has_enough_rows_and_no_row_twice() -> None:
    for chapter, kind in CHAPTERS:
        named = [(r.name, r.field) for r in ROWS if (r.chapter, r.kind) == (chapter, kind)]
        assert len(set(named)) == len(named) >= 3
    assert len(ROWS) > 900
    assert len({row.name for row in REFERENCES}) == len(REFERENCES) >= 20


@pytest.mark.parametrize(("chapter", "kind"), CHAPTERS, ids=lambda word: word)
def test_what_the_apiserver_says(apiserver: ApiServer, namespace: str, chapter: str, kind: str) -> None:
    """It refuses, and names the field."""
    wrong = []
    for number, row in enumerate(r for r in ROWS if (r.chapter, r.kind) == (chapter, kind)):
        code, answer = attempt(apiserver, namespace, row, number)
        told = [words for field, words in complaints(answer) if field == row.field]
        if code not in (400, 422) or not any(row.says in words for words in told):
            wrong.append(f"{row.field}: {row.name}: {code} {answer.get('message', '')[:200]}")
    assert wrong == []


async def test_what_a_condition_says(
    operator: Process, demo: None, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    """What is named is not there, or is another thing: the object is accepted, and says so."""
    made = await kube.create(TASKS, TWO, namespace)
    uids, folder = {"two": made["metadata"]["uid"]}, await session_folder(kube, namespace)
    await until(kube, TASKS, "two", namespace, lambda o: bool(o.get("status")))  # there is a bucket
    for row in REFERENCES:
        for key, text in row.stored.items():
            await agent.store.put(key.replace("FOLDER ", folder), text.encode())
        for each in (*row.beside, row.manifest):
            await kube.create(ADAPTERS[each["kind"]], with_uids(each, uids, folder), namespace)
    for row in REFERENCES:

        def said(obj: dict[str, Any], type_: str = row.condition) -> dict[str, str]:
            found = obj.get("status", {}).get("conditions", [])
            return next((c for c in found if c["type"] == type_), {})

        ended = await until(
            kube, ADAPTERS[row.kind], row.name, namespace, lambda o, r=row: said(o).get("reason") == r.reason
        )
        assert row.message in said(ended)["message"] + str(ended["status"].get("failures")), row.name


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.manifest['kind']}: {bad.name}")
def test_the_models_refuse_the_same(bad: Bad) -> None:
    """The client says no before the apiserver does, from the same source."""
    with pytest.raises(InvalidManifest):
        KINDS[bad.manifest["kind"]].from_manifest(bad.manifest)


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


def attempt(apiserver: ApiServer, namespace: str, row: Row, number: int) -> tuple[int, Any]:
    """Create as kubectl does, with strict field validation; then change, if that is the row."""
    path = f"/apis/armonik.io/v1alpha1/namespaces/{namespace}/{row.kind.lower()}s"
    manifest = copy.deepcopy(row.manifest)
    if row.patch is None:
        return apiserver.request("POST", f"{path}?fieldValidation=Strict", manifest)
    manifest["metadata"]["name"] = name = f"row-{number}"
    code, answer = apiserver.request("POST", f"{path}?fieldValidation=Strict", manifest)
    assert code == 201, answer
    if row.status:
        patch = {"status": row.status}
        code, answer = apiserver.request("PATCH", f"{path}/{name}/status", patch, content_type=MERGE)
        assert code == 200, answer
    where = f"{path}/{name}" + (f"/{row.subresource}" if row.subresource else "")
    return apiserver.request("PATCH", where, row.patch, content_type=MERGE)


def complaints(answer: dict[str, Any]) -> list[tuple[str, str]]:
    """Fields, and what is said of each."""
    unknown = re.findall(r'unknown field "([^"]*)"', answer.get("message", ""))
    causes = answer.get("details", {}).get("causes", [])
    return [*((field, "unknown field") for field in unknown), *((c["field"], c["message"]) for c in causes)]
