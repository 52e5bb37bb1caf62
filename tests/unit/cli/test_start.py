"""What the program imports: help and completion answer at once, lists need no data plane."""

import subprocess
import sys
from pathlib import Path

from walking import commands

HEAVY = {
    "armonik_sdk.client", "armonik_sdk.apiserver", "armonik_sdk.api", "armonik_sdk.api.kinds",
    "armonik_sdk.dataplane",
    "kubernetes", "aiohttp", "pydantic", "nats", "minio", "yaml", "rich.table", "rich.console", "asyncio",
}  # fmt: skip
BLOCKING = {
    "kubernetes.client", "kubernetes.config", "kubernetes.dynamic", "kubernetes.stream", "kubernetes.watch",
    "kubernetes.aio.dynamic", "kubernetes.aio.watch", "requests", "oauthlib", "websocket",
}  # fmt: skip
"""What `kubernetes` imports with itself, and we never use."""
LIST = "import armonik_sdk.cli.actions.listing, armonik_sdk.cli.cluster.connected"
DEFERRED = "from armonik_sdk.cli.frame import lean_kubernetes; lean_kubernetes.defer()\n"
COMMANDS = sorted(path.removeprefix("armonikctl").strip() for path, _ in commands())


def imported(code: str) -> set[str]:
    """Of the modules above, those that are imported once the code has run in a process of its own."""
    report = f"\nimport sys\nprint('IMPORTED', *(m for m in {sorted(HEAVY | BLOCKING)} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("IMPORTED")[2].split())


def test_help_of_every_command_imports_nothing_that_connects() -> None:
    assert "session list" in COMMANDS
    calls = "".join(f"assert main({[*command.split(), '--help']}) == 0\n" for command in COMMANDS)
    assert imported(f"from armonik_sdk.cli.main import main\n{calls}") == set()


def test_garbage_is_looked_for_while_a_command_works_and_not_among_what_was_imported(tmp_path: Path) -> None:
    (empty := tmp_path / "kubeconfig").write_text("{}")
    code = f"""
import gc, sys, armonikctl
looks = []
gc.callbacks.append(lambda phase, info: looks.append(phase))
sys.argv = ["armonikctl", "task", "list", "--kubeconfig", {str(empty)!r}]
from armonik_sdk.cli.cluster.access import Cluster
async def connect(settings):
    assert looks == [] and gc.isenabled() and gc.get_freeze_count() > 10_000
    raise SystemExit(9)
Cluster.connect = connect
looks.clear()
try:
    armonikctl.run()
except SystemExit as ended:
    assert ended.code == 9
else:
    raise AssertionError("it did not connect")
"""
    imported(code)


def test_wrong_usage_imports_nothing_that_connects() -> None:
    code = "from armonik_sdk.cli.main import main; assert main(['session', 'get']) == 2"
    assert imported(code) == set()


def test_a_list_needs_neither_nats_nor_the_object_store() -> None:
    assert imported(LIST) & {"nats", "minio", "armonik_sdk.api.kinds"} == set()


def test_a_command_that_connects_imports_no_blocking_half_of_kubernetes(tmp_path: Path) -> None:
    (empty := tmp_path / "kubeconfig").write_text("{}")
    code = (
        "from armonik_sdk.cli.main import main\n"
        f"assert main(['task', 'list', '--kubeconfig', {str(empty)!r}]) == 5"
    )
    assert imported(code) & (BLOCKING | {"kubernetes"}) == {"kubernetes"}


def test_who_names_the_blocking_half_has_the_real_one() -> None:
    code = """
import pickle, types
from kubernetes import client, watch
import kubernetes, kubernetes.config.kube_config, kubernetes.aio.watch, kubernetes.aio.client
assert type(client) is types.ModuleType and client is kubernetes.client
assert client.CoreV1Api.__module__ == "kubernetes.client.api.core_v1_api"
assert pickle.loads(pickle.dumps(client.V1Pod)) is client.V1Pod
assert watch.Watch is not kubernetes.aio.watch.Watch
assert kubernetes.config.load_kube_config is kubernetes.config.kube_config.load_kube_config
assert kubernetes.aio.dynamic.__spec__ is not None and not hasattr(kubernetes, "nothing")
"""
    assert imported(f"{DEFERRED}{LIST}\n{code}") >= {
        "kubernetes.client",
        "kubernetes.aio.dynamic",
        "requests",
    }


def test_a_release_that_uses_its_parts_at_once_is_imported_whole(tmp_path: Path) -> None:
    folder = tmp_path / "kubernetes"
    folder.mkdir()
    (folder / "__init__.py").write_text("from . import watch\nfrom .client import Api\n")
    (folder / "client.py").write_text("class Api: ...\n")
    (folder / "watch.py").write_text("Watch = 1\n")
    code = f"""
import sys; sys.path.insert(0, {str(tmp_path)!r})
import kubernetes
assert kubernetes.Api is kubernetes.client.Api and kubernetes.watch.Watch == 1
"""
    assert imported(DEFERRED + code) == {"kubernetes", "kubernetes.client", "kubernetes.watch"}


def test_its_own_version_is_said_without_what_connects() -> None:
    code = "from armonik_sdk.cli.main import main; assert main(['version', '--client', '-o', 'json']) == 0"
    assert imported(code) == {"armonik_sdk.api", "pydantic"}


def test_the_report_finds_what_was_imported() -> None:
    assert imported("from armonik_sdk.client import Client") >= {"armonik_sdk.client", "nats", "kubernetes"}
