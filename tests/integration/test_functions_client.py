"""Functions on a whole installation: the client, real servers, operator, agents and workers of functions."""

import sys
from collections.abc import Iterator, Mapping

import cloudpickle
import pytest
from function_grid import FunctionGrid, function_grid

import armonik_sdk as ak
from armonik_sdk.functions import here
from armonik_sdk.grid.cluster.engine import ClusterGrid
from behaviours.test_calls import *  # noqa: F403 - the same tests, on this installation
from behaviours.test_code import *  # noqa: F403
from behaviours.test_errors import *  # noqa: F403
from behaviours.test_subtasks import *  # noqa: F403

pytestmark = pytest.mark.integration
__all__ = ["function_grid"]


@pytest.fixture(scope="module")
def client(function_grid: FunctionGrid) -> Iterator[ak.Client]:
    """A client of the installation."""
    with ak.connect(function_grid.namespace, kubeconfig=function_grid.kubeconfig) as client:
        yield client


@pytest.fixture(autouse=True, scope="module")
def by_value() -> Iterator[None]:
    """Workers do not have the tests."""
    modules = [sys.modules[f"behaviours.{name}"] for name in ("test_calls", "test_errors", "test_subtasks")]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    yield
    for module in modules:
        cloudpickle.unregister_pickle_by_value(module)


@pytest.fixture(autouse=True)
def worker_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are no Pods, of which the operator reports what their workers say."""

    async def said(self: ClusterGrid, partition: str) -> Mapping[str, str]:
        return {"python": here().py}

    monkeypatch.setattr(ClusterGrid, "worker", said)


@pytest.fixture
def session(client: ak.Client) -> Iterator[ak.Session]:
    """A session of its own."""
    with client.session(on_exit="cancel") as made:
        yield made
