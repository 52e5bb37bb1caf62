"""Subjects and keys: they round-trip, and different identities never share one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_sdk.api import names

uid = st.uuids().map(str)
label = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
run_id = st.builds(names.RunId, label, uid, uid, st.integers(0, 10_000_000))


@given(run_id)
def test_journal_subject_names_the_run(run: names.RunId) -> None:
    assert names.RunId.from_journal(run.journal) == run


@given(run_id, label, st.integers(1, 1000))
def test_queue_subject_names_run_and_submission(run: names.RunId, partition: str, n: int) -> None:
    assert names.RunId.from_queue(run.queue(partition, n)) == (run, n)


@given(run_id, label, st.integers(1, 1000))
def test_the_consumer_of_a_partition_takes_its_subjects(run: names.RunId, partition: str, n: int) -> None:
    prefix = names.consumer_filter(run.namespace, partition).removesuffix(">")
    assert run.queue(partition, n).startswith(prefix)


@given(run_id, run_id)
def test_different_runs_have_different_subjects_keys_and_prefixes(a: names.RunId, b: names.RunId) -> None:
    assert (a == b) == (a.journal == b.journal) == (a.results == b.results)
    assert (a == b) == (a.objects(1, "x") == b.objects(1, "x"))


@pytest.mark.parametrize(
    "subject",
    [
        "armonik.journal.ns.s.t",
        "armonik.journal.ns.s.t.x",
        "armonik.queue.ns.s.t.0",
        "armonik.journal.a.b.c.0.1",
    ],
)
def test_other_subjects_are_refused(subject: str) -> None:
    with pytest.raises(ValueError, match="not the journal subject"):
        names.RunId.from_journal(subject)


def matches(pattern: str, subject: str) -> bool:
    """Whether a filter of NATS takes a subject."""
    wanted, parts = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, parts = wanted[:-1], parts[: len(wanted) - 1]
    return len(wanted) == len(parts) and all(w in ("*", part) for w, part in zip(wanted, parts, strict=True))


@given(run_id, run_id, label)
def test_filters_of_a_task_take_what_is_of_its_runs_and_nothing_else(
    run: names.RunId, other: names.RunId, partition: str
) -> None:
    task = run.of_task
    assert task.run(run.start) == run
    for one in (run, other):
        own = one.of_task == task
        assert matches(task.journal, one.journal) == own
        assert matches(task.results, one.results) == own
        assert matches(task.queued, one.queue(partition, 1)) == own
        assert (task.inventory == one.of_task.inventory) == own


@given(uid, st.integers(0, 10**7), label)
def test_result_ids_are_taken_apart(task: str, index: int, output: str) -> None:
    assert names.split_result_id(names.result_id(task, index, output)) == (task, index, output)


def test_a_result_with_an_id_of_its_own_is_not_implied() -> None:
    assert names.split_result_id("3b0b0f3e-6f0f-4c0a-9d51-5a8a0d8a9b11") is None


@given(label, uid, st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 5))
def test_a_child_has_a_dns_label_for_a_name(
    parent: str, task: str, start: int, element: int, group: int
) -> None:
    name = names.child_name(parent * 4, task, start, element, group)
    assert len(name) <= 61
    assert name == names.child_name(parent * 4, task, start, element, group)
    assert name != names.child_name(parent * 4, task, start, element, group + 1)


def test_elements_that_shared_a_name_of_forty_bits_have_names_of_their_own() -> None:
    uid = "0b0c7c1e-8a53-4f0e-9d37-2f6f0b7b7a11"
    found = {names.child_name("big", uid, 0, element, 0) for element in (949_270, 1_785_799)}
    assert len(found) == 2
