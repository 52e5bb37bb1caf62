import inspect
import subprocess
import sys

import armonik_sdk.worker as public
from armonik_sdk.api.bounds import MAX_DEPENDENCIES, MAX_NEEDS


def test_everything_promised_is_there_and_nothing_else_is_public() -> None:
    assert sorted(public.__all__) == public.__all__
    modules = {name for name, value in vars(public).items() if inspect.ismodule(value)}
    assert {name for name in vars(public) if not name.startswith("_")} - modules == set(public.__all__)


def test_a_functions_process_imports_neither_grpc_nor_pydantic() -> None:
    code = "import sys, armonik_sdk.worker; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "armonik_sdk" in loaded.stdout.split()
    assert {"grpc", "pydantic", "google", "asyncio", "nats"}.isdisjoint(loaded.stdout.split())


def test_a_functions_process_imports_no_more_of_the_library_than_its_image_has() -> None:
    code = "import sys, armonik_sdk.worker; print(*(n for n in sys.modules if n.startswith('armonik_sdk')))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    beside = {name for name in loaded.stdout.split() if not name.startswith("armonik_sdk.worker")}
    assert beside == {"armonik_sdk", "armonik_sdk.api", "armonik_sdk.api.bounds", "armonik_sdk.api.runcall"}


def test_a_sub_task_needs_as_much_as_a_task_may() -> None:
    assert MAX_NEEDS == MAX_DEPENDENCIES
