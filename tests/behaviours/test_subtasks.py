"""Functions that submit functions. PYTEST_DONT_REWRITE: workers, which run the asserts, have no pytest."""

import pytest

import armonik_sdk as ak

WAIT = 120.0


def test_a_returned_future_hands_the_output_over(session: ak.Session) -> None:
    def parent(x: int) -> object:
        task = ak.current_task()
        assert task is not None
        return task.submit(pow, x, 2)

    assert session.submit(parent, 7).result(WAIT) == 49
    assert session.map(parent, range(4)).results(WAIT) == [0, 1, 4, 9]
    assert dict(session.map(parent, range(4)).as_completed()) == {0: 0, 1: 1, 2: 4, 3: 9}


def unlucky(x: int) -> int:
    raise ValueError(f"no luck with {x}")


def test_a_sub_task_that_was_to_make_the_output_fails_as_itself(session: ak.Session) -> None:
    def parent(x: int) -> object:
        task = ak.current_task()
        assert task is not None
        return task.submit(unlucky, x)

    def grandparent(x: int) -> object:
        task = ak.current_task()
        assert task is not None
        return task.submit(parent, x)

    for function in (parent, grandparent):
        future = session.submit(function, 7)
        with pytest.raises(ValueError, match="no luck with 7") as raised:
            future.result(WAIT)
        assert "in unlucky" in str(raised.value.__cause__)
        info = future.info()
        assert (info.phase, info.reason) == ("Error", "WorkerError")
    mapped = session.map(parent, range(2)).results(WAIT, errors="return")
    assert [str(error) for error in mapped] == ["no luck with 0", "no luck with 1"]


def test_sub_tasks_depend_on_each_other(session: ak.Session) -> None:
    def tree(depth: int) -> object:
        task = ak.current_task()
        assert task is not None
        if not depth:
            return 1
        return task.submit(sum, [task.submit(tree, depth - 1), task.submit(tree, depth - 1)])

    assert session.submit(tree, 3).result(WAIT) == 8


def test_nobody_waits_inside_a_worker(session: ak.Session) -> None:
    def wait() -> object:
        task = ak.current_task()
        assert task is not None
        return task.submit(abs, 1).result()

    with pytest.raises(RuntimeError, match="a task cannot wait for its sub-tasks: return the future"):
        session.submit(wait).result(WAIT)


def test_the_element_knows_where_it_is(session: ak.Session) -> None:
    def told() -> tuple[object, ...]:
        task = ak.current_task()
        assert task is not None
        (task.scratch / "file").write_text("x")
        return (
            task.session,
            task.task,
            task.index,
            task.attempt,
            dict(task.options),
            task.seconds_left is not None,
        )

    future = session.options(options={"colour": "red"}, timeout=50).submit(told)
    assert future.result(WAIT) == (session.name, future.task, future.index, 1, {"colour": "red"}, True)
    assert ak.current_task() is None


@ak.task
def leaf(x: int) -> int:
    return x + 1


@ak.task(timeout=100)
def branch(xs: list[int]) -> object:
    return leaf.map(xs)


def test_declared_functions_submit_sub_tasks_in_a_worker(session: ak.Session) -> None:
    assert session.submit(branch, [1, 2]).result(WAIT) == [2, 3]
    assert branch.submit([5]).result(WAIT) == [6]
