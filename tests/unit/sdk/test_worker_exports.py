import inspect
import subprocess
import sys

import armonik_sdk.worker as public


def test_everything_promised_is_there_and_nothing_else_is_public() -> None:
    assert sorted(public.__all__) == public.__all__
    modules = {name for name, value in vars(public).items() if inspect.ismodule(value)}
    assert {name for name in vars(public) if not name.startswith("_")} - modules == set(public.__all__)


def test_a_functions_process_imports_neither_grpc_nor_pydantic() -> None:
    code = "import sys, armonik_sdk.worker; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "armonik_sdk" in loaded.stdout.split()
    assert {"grpc", "pydantic", "google", "asyncio", "nats"}.isdisjoint(loaded.stdout.split())
