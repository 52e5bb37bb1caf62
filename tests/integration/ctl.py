"""Calls `armonikctl` in a test's namespace, where the test plays the operator."""

import gc
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from apiserver import ApiServer
from function_grid import FunctionGrid

from armonik_sdk.cli import main as program

GROUP = "/apis/armonik.io/v1alpha1"


@dataclass
class Done:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        """Cells of a table, without its titles."""
        return [line.split() for line in self.out.splitlines()[1:]]

    @property
    def json(self) -> Any:
        """The output as JSON."""
        return json.loads(self.out)


@dataclass
class Ctl:
    """Calls the program in the test's namespace, and writes statuses as the operator does."""

    apiserver: ApiServer
    namespace: str
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Done:
        given = [*arguments, "--kubeconfig", str(self.apiserver.kubeconfig), "-n", self.namespace]
        return self.call(*given)

    def call(self, *arguments: str) -> Done:
        """The same with a kubeconfig and a namespace that are named."""
        self.capsys.readouterr()
        code = program.main(arguments)
        gc.collect()  # what Python says of sockets that the loop left open belongs to this test
        return Done(code, *self.capsys.readouterr())

    def ok(self, *arguments: str) -> Done:
        """The same, which succeeds."""
        done = self(*arguments)
        assert done.code == 0, done
        return done

    def path(self, plural: str, name: str = "") -> str:
        return f"{GROUP}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def read(self, plural: str, name: str) -> Any:
        code, body = self.apiserver.request("GET", self.path(plural, name))
        assert code == 200, body
        return body

    def status(self, plural: str, name: str, status: dict[str, Any]) -> None:
        """What the operator says of it."""
        code, body = self.apiserver.request(
            "PATCH",
            f"{self.path(plural, name)}/status",
            {"status": status},
            content_type="application/merge-patch+json",
        )
        assert code == 200, body


@pytest.fixture
def ctl(apiserver: ApiServer, namespace: str, capsys: pytest.CaptureFixture[str]) -> Ctl:
    return Ctl(apiserver, namespace, capsys)


@pytest.fixture
def grid_ctl(function_grid: FunctionGrid, capsys: pytest.CaptureFixture[str]) -> Ctl:
    """For tests that import the fixture `function_grid` as well."""
    return Ctl(function_grid.apiserver, function_grid.namespace, capsys)


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


def later(action: Callable[[], None]) -> threading.Thread:
    """Do it in another thread, after the command has begun to wait or before: both must be right."""

    def run() -> None:
        time.sleep(0.2)
        action()

    thread = threading.Thread(target=run)
    thread.start()
    return thread
