"""What the program imports: help and completion answer at once, lists need no data plane."""

import subprocess
import sys

from walking import commands

HEAVY = {
    "armonik_sdk.client", "armonik_sdk.apiserver", "armonik_sdk.api", "armonik_sdk.api.kinds",
    "armonik_sdk.dataplane",
    "kubernetes", "aiohttp", "pydantic", "nats", "minio", "yaml", "rich.table", "rich.console", "asyncio",
}  # fmt: skip
COMMANDS = sorted(path.removeprefix("armonikctl").strip() for path, _ in commands())


def imported(code: str) -> set[str]:
    """Of the modules above, those that are imported once the code has run in a process of its own."""
    report = f"\nimport sys\nprint('IMPORTED', *(m for m in {sorted(HEAVY)} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("IMPORTED")[2].split())


def test_help_of_every_command_imports_nothing_that_connects() -> None:
    assert "session list" in COMMANDS
    calls = "".join(f"assert main({[*command.split(), '--help']}) == 0\n" for command in COMMANDS)
    assert imported(f"from armonik_sdk.cli.main import main\n{calls}") == set()


def test_wrong_usage_imports_nothing_that_connects() -> None:
    code = "from armonik_sdk.cli.main import main; assert main(['session', 'get']) == 2"
    assert imported(code) == set()


def test_a_list_needs_neither_nats_nor_the_object_store() -> None:
    code = "import armonik_sdk.cli.actions.listing, armonik_sdk.cli.cluster.connected"
    assert imported(code) & {"nats", "minio", "armonik_sdk.api.kinds"} == set()


def test_its_own_version_is_said_without_what_connects() -> None:
    code = "from armonik_sdk.cli.main import main; assert main(['version', '--client', '-o', 'json']) == 0"
    assert imported(code) == {"armonik_sdk.api", "pydantic"}


def test_the_report_finds_what_was_imported() -> None:
    assert imported("from armonik_sdk.client import Client") >= {"armonik_sdk.client", "nats", "kubernetes"}
