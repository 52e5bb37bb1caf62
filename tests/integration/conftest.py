"""Fixtures over real servers; each kind of server has a module of its own beside this file."""

import signal
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

# Tests are imported by path, not as packages; helpers beside them are found here.
sys.path.insert(0, str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1]))  # what several suites share

from agent_bench import bench, folder, pod, pods
from api_requests import api
from apiserver import apiserver, kube, namespace
from operator_process import agent, demo, operator, operator_environ, store_proxy
from operator_rights import nats_rights, operator_rights, own_rules, served_rights
from servers import credentials, nats_client, nats_server
from stores import s3_endpoint, store_kind, stores

import hypothesis_profiles  # noqa: F401 - chooses the profile
from rendering import helm

# A shell's background job ignores SIGINT, and so would the programs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails on a grid of processes shows what they logged."""
    report = yield
    if report.failed and (grid := getattr(item, "funcargs", {}).get("function_grid")):
        report.sections.append(("logs of the grid", grid.said()))
    return report


__all__ = [
    "agent",
    "api",
    "apiserver",
    "bench",
    "credentials",
    "demo",
    "folder",
    "helm",
    "kube",
    "namespace",
    "nats_client",
    "nats_rights",
    "nats_server",
    "operator",
    "operator_environ",
    "operator_rights",
    "own_rules",
    "pod",
    "pods",
    "s3_endpoint",
    "served_rights",
    "store_kind",
    "store_proxy",
    "stores",
]
