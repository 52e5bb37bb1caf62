"""Fixtures over real servers; each kind of server has a module of its own beside this file."""

import sys
from pathlib import Path

# Tests are imported by path, not as packages; helpers beside them are found here.
sys.path.insert(0, str(Path(__file__).parent))

from agent_bench import bench, folder, pod, pods
from api_requests import api
from apiserver import apiserver, kube, namespace
from operator_process import agent, demo, operator, store_proxy
from servers import credentials, nats_client, nats_server, s3_endpoint

__all__ = [
    "agent",
    "api",
    "apiserver",
    "bench",
    "credentials",
    "demo",
    "folder",
    "kube",
    "namespace",
    "nats_client",
    "nats_server",
    "operator",
    "pod",
    "pods",
    "s3_endpoint",
    "store_proxy",
]
