"""CPython's own tests of `concurrent.futures`, as the Python that runs this has them (`Lib/test`)."""

import importlib
import os
import sys
from typing import Any

import cloudpickle

import armonik_sdk as ak

PACKAGE = "test.test_concurrent_futures"


def suite(name: str) -> Any:
    """A module of the suite; its functions are sent by value to a cluster, whose workers do not have it."""
    module = importlib.import_module(f"{PACKAGE}.{name}")
    if not os.environ.get("ARMONIK_GRID"):
        cloudpickle.register_pickle_by_value(module)
    return module


cloudpickle.register_pickle_by_value(sys.modules[__name__])  # it is no module that workers find
util, executor, waiting, completed, shutdown, init = map(
    suite, ["util", "executor", "test_wait", "test_as_completed", "test_shutdown", "test_init"]
)
processes = suite("test_process_pool")


class Grid(util.ExecutorMixin):  # type: ignore[misc, name-defined]  # known at run time only
    """Executors of ours."""

    executor_type = ak.Executor


class TestExecutor(Grid, executor.ExecutorTest, util.BaseTestCase):  # type: ignore[misc, name-defined]
    """`submit` and `map`."""

    test_map_chunksize = processes.ProcessPoolExecutorTest.test_map_chunksize
    test_traceback = processes.ProcessPoolExecutorTest.test_traceback
    _test_traceback = vars(processes.ProcessPoolExecutorTest)["_test_traceback"]


class TestWait(Grid, waiting.WaitTests, util.BaseTestCase):  # type: ignore[misc, name-defined]
    """`wait`."""


class TestAsCompleted(Grid, completed.AsCompletedTests, util.BaseTestCase):  # type: ignore[misc, name-defined]
    """`as_completed`."""


class TestShutdown(Grid, shutdown.ExecutorShutdownTest, util.BaseTestCase):  # type: ignore[misc, name-defined]
    """`shutdown`."""


class TestInitializer(init.InitializerMixin, Grid, util.BaseTestCase):  # type: ignore[misc, name-defined]
    """Initializers."""

    executor_type = ak.Executor
