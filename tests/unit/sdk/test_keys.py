"""Keys that somebody names: whatever they are, only objects of the own Session are read."""

import posixpath
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from armonik_sdk.api import names
from armonik_sdk.api.bounds import MAX_KEY_BYTES
from armonik_sdk.api.keys import (
    confined,
    confined_entry,
    confined_message,
    misplaced,
    misplaced_environment,
    misplaced_in,
)
from armonik_sdk.api.kinds import ObjectRef, Task, TaskOptions
from armonik_sdk.api.kinds.options import Environment
from armonik_sdk.api.messages import ElementSpec, RunMessage
from armonik_sdk.api.records import ChildGroup, DataRef, Record, RecordKind
from armonik_sdk.api.results import ResultEntry, ResultState, RunResults

OWN = ("team-b", "8d7f")
OTHER = ("team-a", "8d7f")
part = st.sampled_from(
    ["team-a", "team-b", "8d7f", "1c2e", "client", "x", "", ".", "..", "...", " ", "%2e%2e"]
)
key = st.one_of(st.text(max_size=40), st.lists(part, max_size=7).map("/".join))


@given(key)
@example("team-b/8d7f/../../team-a/8d7f/x")
@example("team-b/8d7f//x")
@example("/team-b/8d7f/x")
@example("team-b/8d7f/")
@example("team-b/8d7f")
@example("team-b/8d7fe/x")
def test_a_key_that_is_accepted_lies_below_the_session_however_it_is_read(name: str) -> None:
    if misplaced(name, *OWN):
        return
    assert name.startswith("team-b/8d7f/")
    assert posixpath.normpath(name) == name
    assert "" not in name.split("/")
    assert name.isprintable()
    assert len(name.encode()) <= MAX_KEY_BYTES
    assert misplaced(name, *OTHER)
    assert misplaced(name, "team-b", "8d7")


@given(st.one_of(key, st.text("0123456789abcdef/.-", max_size=70).map("team-b/env/".__add__)))
@example(f"team-b/env/{'a' * 64}")
@example(f"team-b/env/{'a' * 64}/x")
@example(f"team-b/env/../{'a' * 64}")
@example(f"team-b/env/{'a' * 63}\n")
@example(f"team-a/env/{'a' * 64}")
def test_an_environment_may_also_be_one_of_the_namespace_by_its_checksum(name: str) -> None:
    """Of an own key alone: payloads and results are never read there."""
    if misplaced_environment(name, *OWN):
        assert misplaced(name, *OWN)
    elif misplaced(name, *OWN):
        head, _, checksum = name.rpartition("/")
        assert head == "team-b/env"
        assert len(checksum) == 64
        assert set(checksum) <= set("0123456789abcdef")


def test_an_environment_of_the_namespace_is_accepted_for_all_of_its_sessions_and_no_others() -> None:
    kept = names.environment_key("team-b", "a" * 64)
    assert misplaced_environment(kept, *OWN) == misplaced_environment(kept, "team-b", "1c2e") == ""
    assert misplaced_environment(kept, *OTHER)
    assert misplaced_environment(kept.replace("team-b", ""), "", "8d7f")
    environment = Environment(object=kept, sha256="a" * 64)
    message = RunMessage(
        namespace="team-b",
        session="8d7f",
        session_name="s",
        task="t",
        task_name="t",
        partition="p",
        start=0,
        end=1,
        n=1,
        options=TaskOptions(environment=environment),
        outputs=(),
        payload=ObjectRef(key=kept),
    )
    said = confined_message(message, *OWN)
    assert said.options.environment == environment
    assert said.payload is not None
    assert said.payload.key != kept, "nothing but an environment is read there"
    other = confined_message(message, *OTHER).options.environment
    assert other is not None
    assert other.object != kept


@given(st.lists(st.from_regex(r"[A-Za-z0-9_=+-]{1,20}", fullmatch=True), min_size=1, max_size=5))
def test_what_lies_below_the_session_is_accepted(parts: list[str]) -> None:
    assert misplaced("/".join((*OWN, *parts)), *OWN) == ""


@pytest.mark.parametrize("owner", [("", ""), ("team-b", ""), ("", "8d7f")])
def test_nothing_belongs_to_a_session_that_is_not_known(owner: tuple[str, str]) -> None:
    for name in ("x", "/x", "//x", "team-b//x", "/8d7f/x", "team-b/8d7f/x"):
        assert misplaced(name, *owner)


def test_the_keys_that_we_make_are_accepted() -> None:
    run = names.RunId(*OWN, "task", 0)
    for name in (
        f"{run.objects(1, 'abc')}/pack-0",
        names.message_key(run, 1),
        names.task_payload_key(*OWN, "task", "0" * 64),
        names.upload_key(*OWN, "result", "abc"),
        names.client_object_key(*OWN, "abc-payloads"),
        names.nothing_key(*OWN, "task.0.result"),
        names.run_results_object(run.results, "abc"),
    ):
        assert misplaced(name, *OWN) == ""


def test_a_key_that_is_not_decoded_is_not_another() -> None:
    """The client library encodes a key once, so an encoded one stays what it is."""
    name = "team-b/8d7f/%2e%2e/x"
    assert unquote(name) != name
    assert misplaced(name, *OWN) == ""


@pytest.mark.parametrize(
    ("field", "spec"),
    [
        ("payload.object.key", {"payload": {"object": {"key": "team-a/8d7f/client/x"}}}),
        ("itemsRef.object", {"itemsRef": {"object": "team-a/8d7f/client/x", "count": 1}}),
        (
            "items[1].payload.object.key",
            {
                "items": [
                    {"payload": {"inline": "a"}},
                    {"payload": {"object": {"key": "team-a/8d7f/client/x"}}},
                ]
            },
        ),
    ],
)
def test_the_field_of_a_task_is_named_with_the_remedy(field: str, spec: dict[str, object]) -> None:
    meta = {"name": "t", "namespace": "team-b", "uid": "u"}
    task = Task.from_object({"metadata": meta, "spec": {"session": "s"} | spec})
    assert misplaced_in(task, "8d7f") == (
        f"{field}: the object key 'team-a/8d7f/client/x' is not below team-b/8d7f/, where the data of its"
        " session is; upload the data below that prefix, delete the task and create it with the new key"
    )


def test_no_record_message_or_entry_keeps_a_foreign_key() -> None:
    foreign = ObjectRef(key="team-a/8d7f/client/x", length=3)
    ref = DataRef.model_validate(foreign)
    own = DataRef(key="team-b/8d7f/client/y", length=3)
    here = DataRef.of_bytes(b"data")
    group = ChildGroup(name="c", element=0, group=0, count=1, items=foreign.key)
    record = Record(
        record_id="r",
        kind=RecordKind.DONE,
        start=0,
        end=1,
        n=1,
        objects=(own.key, foreign.key),
        children=(group,),
        manifest=foreign,
    )
    entry = RunResults(sequence=1, end=1, objects=(foreign.key,), manifest=foreign)
    message = RunMessage(
        namespace="team-a",
        session="8d7f",
        task="task",
        partition="p",
        start=0,
        end=2,
        n=1,
        payload=ref,
        spill=foreign,
        elements={0: ElementSpec(payload=ref), 1: ElementSpec(payload=here)},
        locators={"a": ref, "b": own},
    )
    result = ResultEntry(state=ResultState.COMPLETED, ref=ref)
    for made in (
        confined(record, *OWN),
        confined(entry, *OWN),
        confined_message(message, *OWN),
        confined_entry(result, *OWN),
    ):
        assert foreign.key.encode() not in made.encode()
    assert confined(record, *OWN).objects[0] == own.key
    assert confined_message(message, *OWN).locators["b"] == own
    assert confined_message(message, *OWN).elements[1].payload == here
