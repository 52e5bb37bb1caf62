"""The function worker as the programs of its users meet it: standard streams, processes, crashes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from function_worker import FunctionWorker, eventually

pytestmark = pytest.mark.integration


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[FunctionWorker]:
    made = FunctionWorker(tmp_path)
    yield made
    made.close()


# What is said --------------------------------------------------------------------------------------------


def test_standard_output_is_a_real_text_file(worker: FunctionWorker) -> None:
    ended = worker.run("attributes")[0]
    assert ended.get("result") == "<stdout> w utf-8 True False <stderr>", ended
    eventually(lambda: "[t.0] bytes \ufffd\n" in worker.out())


def test_each_line_begins_with_its_element(worker: FunctionWorker) -> None:
    worker.run("plain one", "plain two", "program three")
    eventually(lambda: worker.out().count("\n") >= 5 and worker.err().count("three"))
    lines = ["[t.0] one", "[t.0] logged one", "[t.1] two", "[t.1] logged two", "[t.2] three"]
    assert worker.out().splitlines() == lines
    said = [line for line in worker.err().splitlines() if line.startswith("[")]
    assert said == ["[t.0] one to stderr", "[t.1] two to stderr", "[t.2] three"]


def test_many_small_writes_are_one_line(worker: FunctionWorker) -> None:
    assert worker.run("dots 200000")[0]["result"] == "done"
    eventually(lambda: worker.out() == "[t.0] " + "." * 200_000 + "\n")


def test_each_update_of_a_bar_is_a_line_that_begins_with_its_element(worker: FunctionWorker) -> None:
    worker.run("bar 20000")
    eventually(lambda: worker.out().endswith("20000 of 20000\n"))
    assert worker.out().splitlines() == [f"[t.0] {number} of 20000" for number in range(20_001)]


def test_what_is_flushed_is_seen_before_the_line_ends(worker: FunctionWorker, tmp_path: Path) -> None:
    ends = worker.ends(f"begun waiting... {tmp_path}/go")
    eventually(lambda: worker.out() == "[t.0] waiting...")
    (tmp_path / "go").touch()
    assert next(ends)["result"] == "done"


def test_an_element_ends_the_line_that_it_began(worker: FunctionWorker) -> None:
    worker.run("unended one", "unended two", "plain three")
    eventually(lambda: "three" in worker.out())
    assert worker.out().splitlines()[:3] == ["[t.0] one", "[t.1] two", "[t.2] three"]


def test_what_was_said_before_a_crash_is_in_the_log(worker: FunctionWorker) -> None:
    ended = worker.run("crash farewell", "plain next")
    assert "SIGSEGV" in ended[0]["failed"]
    eventually(lambda: "[t.1] next\n" in worker.out() and "Segmentation fault" in worker.err())
    assert worker.out().splitlines()[:2] == ["[t.0] farewell", "[t.0] an unended line"]


@pytest.mark.parametrize("habit", ["closes", "replaces"])
def test_an_element_that_spoils_its_streams_spoils_no_other(worker: FunctionWorker, habit: str) -> None:
    ended = worker.run(habit, "plain next")
    assert [entry["result"] for entry in ended.values()] == ["done", "done"]
    eventually(lambda: "[t.1] next\n" in worker.out())


def test_what_each_element_prints_comes_with_its_end(worker: FunctionWorker) -> None:
    habits = ["plain one", "program two", "crash farewell", "unended three", "quiet", "plain four"]
    ended = worker.run(*habits, printed=64 * 1024)
    said = [ended[index].get("printed") for index in range(len(habits))]
    assert sorted((said[0] or "").splitlines()) == ["logged one", "one", "one to stderr"]
    assert sorted((said[1] or "").splitlines()) == ["two", "two"]
    assert "SIGSEGV" in ended[2]["failed"]
    assert (said[2] or "").startswith("farewell\nan unended line")
    assert "Segmentation fault" in (said[2] or "")
    assert said[3] == "three"
    assert said[4] is None
    assert sorted((said[5] or "").splitlines()) == ["four", "four to stderr", "logged four"]


def test_of_what_is_long_both_ends_are_kept(worker: FunctionWorker) -> None:
    ended = worker.run("bar 20000", printed=1024)
    lines = ended[0]["printed"].splitlines()
    assert (lines[0], lines[-1]) == ("0 of 20000", "20000 of 20000")
    assert sum("bytes are left out" in line for line in lines) == 1
    assert len(ended[0]["printed"]) <= 1024


# What is started -----------------------------------------------------------------------------------------


def own(worker: FunctionWorker) -> int:
    """How many processes it has by itself, once it has executed something."""
    worker.run("plain first")
    return len(worker.processes())


@pytest.mark.parametrize("habit", ["background 2", "ended_ones 2", "session", "daemon"])
def test_nothing_that_an_element_started_is_left(worker: FunctionWorker, habit: str) -> None:
    before = own(worker)
    ended = worker.run(*[habit] * 20)
    assert {entry.get("result") for entry in ended.values()} == {"done"}, ended
    assert len(worker.processes()) == before, worker.processes()


@pytest.mark.parametrize(("habit", "word"), [("hang", "timeout"), ("die", "failed")])
def test_nothing_is_left_of_an_element_that_is_ended(worker: FunctionWorker, habit: str, word: str) -> None:
    before = own(worker)
    ended = worker.run("plain one", habit, "plain three", limit=3)
    assert word in ended[1]
    assert (ended[0]["result"], ended[2]["result"]) == ("done", "done")
    eventually(lambda: len(worker.processes()) == before)
    assert not [said for said in worker.processes().values() if "sleep" in said or said.startswith("Z")]


def test_a_copy_of_the_process_that_leaves_the_function_is_ended(worker: FunctionWorker) -> None:
    ended = worker.run("forks", "plain next")
    assert [entry.get("result") for entry in ended.values()] == ["done", "done"], ended


def test_the_function_learns_how_its_own_processes_end(worker: FunctionWorker) -> None:
    assert worker.run("own_status")[0]["result"] == "7"


def test_a_pool_that_the_function_keeps_serves_all_its_elements(worker: FunctionWorker) -> None:
    said = {entry.get("result") for entry in worker.run("pool", "pool", "pool").values()}
    assert len(said) == 1, said
    assert str(said).count("14 ") == 1


def test_helpers_of_multiprocessing_are_kept(worker: FunctionWorker) -> None:
    said = {entry["result"] for entry in worker.run("shared", "shared", "shared").values()}
    assert len(said) == 1
    assert "resource_tracker" not in worker.err()


def test_nothing_is_left_of_a_worker_that_ends(worker: FunctionWorker) -> None:
    ends = worker.ends("hang")
    there = eventually(lambda: len(found := worker.processes()) > 4 and found)
    worker.close()
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in there))
    del ends
