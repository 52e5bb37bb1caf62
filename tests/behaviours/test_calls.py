"""Submitting functions: values, dependencies at any depth, maps, slices, retries, cancellation."""

import concurrent.futures
import dataclasses
import operator
import time
import uuid
from pathlib import Path

import pytest

import armonik_sdk as ak

WAIT = 120.0


def square(x: int) -> int:
    return x * x


def fail_below(x: int, bound: int = 5) -> int:
    if x < bound:
        raise ValueError(f"{x} is below {bound}")
    return x


@dataclasses.dataclass
class Box:
    content: object


def test_a_call_returns_the_value_of_the_function(session: ak.Session) -> None:
    assert session.submit(square, 7).result(WAIT) == 49


def test_all_keyword_arguments_belong_to_the_function(session: ak.Session) -> None:
    def given(**kwargs: object) -> dict[str, object]:
        return kwargs

    future = session.submit(given, partition="p", timeout=1, name="n", fn=2, self=3)
    assert future.result(WAIT) == {"partition": "p", "timeout": 1, "name": "n", "fn": 2, "self": 3}


def test_lambdas_and_closures_are_sent_by_value(session: ak.Session) -> None:
    factor = 3
    assert session.submit(lambda x: factor * x, 5).result(WAIT) == 15


def test_a_large_function_is_put_once(session: ak.Session) -> None:
    table = list(range(20_000))

    def look_up(at: int) -> int:
        return table[at]

    assert [f.result(WAIT) for f in [session.submit(look_up, at) for at in (1, 19_999)]] == [1, 19_999]


def test_functions_of_modules_are_called_by_reference(session: ak.Session) -> None:
    assert session.submit(operator.add, 2, 3).result(WAIT) == 5


def test_futures_are_dependencies_at_any_depth(session: ak.Session) -> None:
    one, two = session.submit(square, 1), session.submit(square, 2)

    def unwrap(box: Box, named: dict[str, list[int]]) -> tuple[object, int]:
        return box.content, sum(named["numbers"])

    third = session.submit(unwrap, Box({"x": one}), named={"numbers": [one, two, 10]})
    assert third.result(WAIT) == ({"x": 1}, 15)


def test_a_chain_of_futures_is_computed_without_waiting_here(session: ak.Session) -> None:
    future = session.submit(square, 2)
    for _ in range(3):
        future = session.submit(operator.add, future, 1)
    assert future.result(WAIT) == 7


def test_the_result_of_a_map_is_one_argument(session: ak.Session) -> None:
    squares = session.map(square, range(10))
    assert session.submit(sum, squares).result(WAIT) == 285
    assert session.submit(lambda values: (len(values), values[-1], list(values[2:4])), squares).result(
        WAIT
    ) == (
        10,
        81,
        [4, 9],
    )


def test_a_map_gives_its_values_in_order(session: ak.Session) -> None:
    mapped = session.map(square, range(50))
    assert list(mapped) == [x * x for x in range(50)]
    assert len(mapped) == 50
    assert mapped[7] == 49
    assert mapped[-1] == 2401
    assert list(mapped[10:13]) == [100, 121, 144]
    assert mapped.results(WAIT)[:3] == [0, 1, 4]


def test_a_part_may_be_taken_before_the_map_is_sent(session: ak.Session) -> None:
    assert [session.map(square, range(5))[3:].results(WAIT) for _ in range(5)] == [[9, 16]] * 5


def test_several_iterables_are_zipped(session: ak.Session) -> None:
    assert session.map(operator.add, [1, 2, 3], [10, 20, 30]).results(WAIT) == [11, 22, 33]
    assert session.starmap(operator.sub, [(5, 1), (5, 2)]).results(WAIT) == [4, 3]


def test_shared_arguments_are_given_to_all_calls(session: ak.Session) -> None:
    def scaled(x: int, *, factor: int) -> int:
        return factor * x

    assert session.map(scaled, range(4), shared={"factor": 10}).results(WAIT) == [0, 10, 20, 30]


@pytest.mark.parametrize("chunksize", [2, 3, 100])
def test_chunks_change_nothing_of_the_values(session: ak.Session, chunksize: int) -> None:
    mapped = session.map(square, range(7), chunksize=chunksize)
    assert list(mapped) == [0, 1, 4, 9, 16, 25, 36]
    assert mapped[4] == 16
    assert sorted(dict(mapped.as_completed()).items()) == [(x, x * x) for x in range(7)]


def test_an_empty_map_is_empty(session: ak.Session) -> None:
    mapped = session.map(square, [])
    assert (list(mapped), mapped.results(), mapped.wait().total) == ([], [], 0)


def test_futures_in_a_map_are_dependencies(session: ak.Session) -> None:
    futures = [session.submit(square, x) for x in range(3)]
    assert session.map(operator.add, futures, [10, 20, 30]).results(WAIT) == [10, 21, 34]


def test_as_completed_gives_each_value_once(session: ak.Session) -> None:
    assert dict(session.map(square, range(20)).as_completed()) == {x: x * x for x in range(20)}


def test_failures_name_the_calls_that_failed(session: ak.Session) -> None:
    mapped = session.map(fail_below, range(8))
    failures = dict(mapped.failures())
    assert sorted(failures) == [0, 1, 2, 3, 4]
    returned = mapped.results(WAIT, errors="return")
    assert returned[5:] == [5, 6, 7]
    assert all(isinstance(error, Exception) for error in returned[:5])
    with pytest.raises(Exception, match="0 is below 5"):
        list(mapped)


def test_the_failed_calls_of_a_map_can_be_tried_again(session: ak.Session) -> None:
    gate = session.put(1)

    def once(x: int, times: int) -> int:
        task = ak.current_task()
        if x % 2 and task is not None and task.index == x:  # again, the calls that failed are the first ones
            raise ValueError(x)
        return x * times

    mapped = session.map(once, range(6), [gate] * 6)
    mapped.wait(WAIT)
    assert sorted(dict(mapped.failures())) == [1, 3, 5]
    again = mapped.retry_failed()
    assert list(again) == [0, 1, 2, 3, 4, 5]
    assert again[3] == 3
    assert list(again[2:4]) == [2, 3]


def test_a_future_of_one_value_of_a_map(session: ak.Session) -> None:
    mapped = session.map(square, range(5))
    future = mapped.future(3)
    assert future.result(WAIT) == 9
    assert (future.task, future.index) == (mapped.task, 3)


def test_what_is_put_is_an_argument(session: ak.Session) -> None:
    ref = session.put({"a": [1, 2]})
    assert ref.get() == {"a": [1, 2]}
    assert session.submit(lambda value, more: value["a"] + more["b"]["a"], ref, {"b": ref}).result(WAIT) == [
        1,
        2,
        1,
        2,
    ]


def test_equal_values_are_put_once(session: ak.Session) -> None:
    assert session.put([1, 2, 3]).id == session.put([1, 2, 3]).id


def test_a_file_that_is_put_is_a_path(session: ak.Session, tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("17\n")
    ref = session.put_file(tmp_path / "data.txt")
    assert session.submit(lambda path: int(path.read_text()), ref).result(WAIT) == 17


def test_large_values_come_back_whole(session: ak.Session) -> None:
    assert session.submit(lambda n: bytes(n), 300_000).result(WAIT) == bytes(300_000)
    assert [len(x) for x in session.map(bytes, [100_000, 10, 200_000])] == [100_000, 10, 200_000]


def test_gather_gives_values_of_futures_and_maps(session: ak.Session) -> None:
    future, mapped = session.submit(square, 4), session.map(square, range(3))
    assert ak.gather(future, mapped) == [16, [0, 1, 4]]


def test_futures_work_with_the_standard_library(session: ak.Session) -> None:
    futures = [session.submit(square, x) for x in range(5)]
    done, left = concurrent.futures.wait(futures, WAIT)
    assert (len(done), len(left)) == (5, 0)
    assert sorted(f.result() for f in concurrent.futures.as_completed(futures, WAIT)) == [0, 1, 4, 9, 16]
    assert sorted(f.result() for f in ak.as_completed(futures, WAIT)) == [0, 1, 4, 9, 16]


def test_a_future_knows_where_it_is(session: ak.Session) -> None:
    future = session.submit(square, 3)
    assert future.result(WAIT) == 9
    assert future.task.startswith("square-")
    assert future.id == f"{future.grid_task.uid}.{future.index}.result"
    assert future.info().phase == "Completed"
    assert future.why() == ""


def seen(future: ak.Future[object], phase: str) -> set[str]:
    """The phases that an element has until this one, which is awaited."""
    phases, until = set[str](), time.monotonic() + WAIT
    while phase not in phases and time.monotonic() < until:
        phases.add(future.info().phase)
        time.sleep(0.05)
    return phases


def test_an_element_has_the_same_phases_everywhere(session: ak.Session) -> None:
    future: ak.Future[object] = session.submit(time.sleep, 600)
    waiting: ak.Future[object] = session.submit(lambda _: 1, future)
    assert seen(future, "Running") | {"Waiting"} == {"Waiting", "Running"}
    assert waiting.info().phase == "Waiting"
    future.cancel()
    assert seen(future, "Cancelled") | {"Running"} == {"Running", "Cancelled"}
    assert isinstance(waiting.exception(WAIT), ak.DependencyFailed)
    assert (waiting.info().phase, waiting.info().reason) == ("Error", "DependencyAborted")
    failed = session.submit(fail_below, 1)
    assert isinstance(failed.exception(WAIT), ValueError)
    assert (failed.info().phase, failed.info().reason) == ("Error", "WorkerError")


@pytest.mark.processes
def test_an_element_that_took_too_long_is_in_timeout(session: ak.Session) -> None:
    future = session.options(timeout=1, max_retries=0).submit(time.sleep, 600)
    assert isinstance(future.exception(WAIT), ak.TaskTimeout)
    assert (future.info().phase, future.info().reason) == ("Timeout", "MaxDurationExceeded")


def test_a_timeout_of_a_wait_cancels_nothing(session: ak.Session) -> None:
    future = session.submit(lambda: time.sleep(1.5) or 5)
    with pytest.raises(ak.WaitTimeout, match=r"not there after 0\.01 s"):
        future.result(0.01)
    assert future.result(WAIT) == 5


def test_a_running_call_can_be_cancelled(session: ak.Session) -> None:
    future = session.submit(time.sleep, 600)
    told: list[object] = []
    future.add_done_callback(told.append)
    assert future.cancel()
    assert future.cancel()
    assert future.cancelled()
    assert told == [future]
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(WAIT)
    assert session.submit(square, 2).result(WAIT) == 4


def test_what_has_ended_cannot_be_cancelled(session: ak.Session) -> None:
    future = session.submit(square, 2)
    future.result(WAIT)
    assert not future.cancel()


def test_calls_of_a_map_can_be_cancelled(session: ak.Session) -> None:
    mapped = session.map(time.sleep, [600] * 4)
    mapped.cancel([0, 1])
    mapped[2:].cancel()
    errors = mapped.results(WAIT, errors="return")
    assert [type(error) for error in errors] == [concurrent.futures.CancelledError] * 4


def test_many_submits_become_few_tasks(session: ak.Session) -> None:
    futures = [session.submit(square, x) for x in range(500)]
    assert [f.result(WAIT) for f in futures] == [x * x for x in range(500)]
    assert len({f.task for f in futures}) <= 100


def test_declared_functions_use_the_session_in_force(session: ak.Session) -> None:
    @ak.task
    def cube(x: int) -> int:
        """Cube it."""
        return x**3

    assert cube(2) == 8
    assert (cube.__name__, cube.__doc__) == ("cube", "Cube it.")
    assert cube.submit(3).result(WAIT) == 27
    assert list(cube.map(range(3))) == [0, 1, 8]
    assert cube.options(priority=90).submit(2).result(WAIT) == 8
    assert session.submit(cube, 4).result(WAIT) == 64


def test_what_was_submitted_before_is_found_by_its_name(client: ak.Client, session: ak.Session) -> None:
    name = f"kept-{uuid.uuid4().hex[:8]}"
    mapped = session.map(square, range(5), name=name)
    mapped.wait(WAIT)
    found = client.session(session.name).task(name)
    assert list(found) == [0, 1, 4, 9, 16]
    assert name in {info.name for info in session.tasks()}


def test_a_session_that_is_closed_takes_no_more(client: ak.Client) -> None:
    with client.session() as session:
        future = session.submit(square, 3)
    assert future.result(WAIT) == 9
    with pytest.raises(ak.Refused, match="closed"):
        session.submit(square, 3).result(WAIT)


def test_the_end_of_a_session_waits_for_what_was_submitted(client: ak.Client) -> None:
    with client.session() as session:
        future = session.submit(lambda: time.sleep(1) or 5)
    assert future.result(WAIT) == 5
    info = next(info for info in client.sessions() if info.name == session.name)
    assert (info.total, info.ended) == (1, 1)
    with pytest.raises(ak.Refused):
        client.session(session.name).submit(square, 3).result(WAIT)


def test_a_session_that_is_kept_can_be_attached_to(client: ak.Client) -> None:
    with client.session(on_exit="keep") as session:
        task = session.map(square, range(3)).task
    with client.session(session.name, on_exit="cancel") as again:
        assert again.task(task).results(WAIT) == [0, 1, 4]
        assert again.submit(square, 3).result(WAIT) == 9


def test_leaving_a_session_by_an_exception_cancels_it(client: ak.Client) -> None:
    futures: list[ak.Future[None]] = []

    def fail() -> None:
        with client.session() as session:
            futures.append(session.submit(time.sleep, 600))
            session.sent()
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    with pytest.raises(concurrent.futures.CancelledError):
        futures[0].result(WAIT)


def test_arguments_for_a_new_session_cannot_be_given_for_one_that_is_there(
    client: ak.Client, session: ak.Session
) -> None:
    assert client.session(session.name).name == session.name
    with pytest.raises(ak.AlreadyExists):
        client.session(session.name, partitions=["python"])


def test_a_paused_session_begins_nothing(session: ak.Session) -> None:
    session.pause()
    future = session.submit(square, 3)
    with pytest.raises(ak.WaitTimeout):
        future.result(0.3)
    session.resume()
    assert future.result(WAIT) == 9


def test_a_future_of_another_session_is_fetched_and_sent_again(
    client: ak.Client, session: ak.Session
) -> None:
    with client.session() as other:
        future = other.submit(square, 3)
        with pytest.warns(UserWarning, match="are fetched here and sent"):
            again = session.submit(operator.add, future, 1)
        assert again.result(WAIT) == 10


def test_a_large_argument_that_is_sent_again_is_warned_of_once(session: ak.Session) -> None:
    data = bytes(2_000_000)
    session.submit(len, data).result(WAIT)
    with pytest.warns(UserWarning, match=r"argument 1 of len, 2.0 MB, is sent with every call"):
        session.submit(len, data).result(WAIT)
    session.submit(len, data).result(WAIT)  # a second warning would be an error


def test_results_of_calls_that_name_many_others(session: ak.Session) -> None:
    futures = [session.submit(square, x) for x in range(100)]
    assert session.submit(sum, futures).result(WAIT) == sum(x * x for x in range(100))


def say(x: int) -> int:
    print(f"value {x}")  # noqa: T201
    return x


@pytest.mark.processes
def test_what_a_call_printed_can_be_read_once_it_has_ended(session: ak.Session) -> None:
    future = session.submit(say, 3)
    assert future.result(WAIT) == 3
    assert [(line.task, line.index, line.text) for line in future.logs()] == [
        (future.task, future.index, "value 3")
    ]
    quiet = session.submit(square, 3)
    quiet.result(WAIT)
    assert quiet.logs() == []


@pytest.mark.processes
def test_what_the_calls_of_a_map_printed_can_be_read_too(session: ak.Session) -> None:
    mapped = session.map(say, range(30))
    assert mapped.results(WAIT) == list(range(30))
    assert sorted((line.index, line.text) for line in mapped.logs()) == [(x, f"value {x}") for x in range(30)]
    assert {f"value {x}" for x in range(30)} <= {line.text for line in session.logs()}


@pytest.mark.processes
def test_of_a_call_that_prints_much_the_ends_can_be_read(session: ak.Session) -> None:
    def chatter() -> None:
        for number in range(9_000):
            print(f"line {number} of many")  # noqa: T201

    future = session.submit(chatter)
    future.result(WAIT)
    lines = [line.text for line in future.logs()]
    assert (lines[0], lines[-1]) == ("line 0 of many", "line 8999 of many")
