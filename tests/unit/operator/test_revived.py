"""Whose messages are in NATS, from their subjects and keys."""

from armonik_operator.gc.revived_data import Traces


def test_subjects_and_keys_name_their_owners() -> None:
    found = Traces()
    found.journal(
        ["armonik.journal.a.s1.t1.0", "armonik.journal.a.s2.result.t9.0.result", "armonik.journal.odd"]
    )
    found.queued(["armonik.queue.a.p.0.s3.t3.5.1", "armonik.queue.odd", "armonik.queue.a.p.0.s9.t9.x.1"])
    found.results(["b.s4.t4.0", "b.s5.result.r", "odd", "b.odd"])
    assert found.sessions == {("a", "s1"), ("a", "s2"), ("a", "s3"), ("b", "s4"), ("b", "s5")}
    assert found.worked == {("a", "s1"), ("a", "s3"), ("b", "s4")}
    assert found.tasks == {"t1": ("a", "s1"), "t3": ("a", "s3")}
