"""nats-server and versitygw on loopback, as the chart configures them and with nothing of ours in front."""

import asyncio
import contextlib
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from bench.systems.ports import free_port, listens

START_SECONDS: Final = 120.0
KEY: Final = "bench"
CACHE: Final = Path(os.environ.get("ARMONIK_CACHE") or Path.home() / ".cache" / "armonik-k8s")


@contextlib.asynccontextmanager
async def running(
    command: list[str], log: Path, answers: Callable[[], bool]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program from when it answers to the end of the block.

    Raises:
        AssertionError: it ended, or does not answer in time.
    """
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(*command, stdout=out, stderr=out, cwd=log.parent)
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await asyncio.to_thread(answers):
                if process.returncode is not None:
                    raise AssertionError(f"{command[0]} ended: see {log}")
                await asyncio.sleep(0.1)
        yield process
    finally:
        if process.returncode is None:
            process.kill()  # its data is thrown away
            await process.wait()


@contextlib.asynccontextmanager
async def nats(folder: Path) -> AsyncIterator[str]:
    """Address of a nats-server that syncs every write, as the chart's does."""
    port = free_port()
    config = _file(
        folder / "nats.conf",
        f"host: 127.0.0.1\nport: {port}\njetstream {{ store_dir: '{folder}/data', sync_interval: always }}\n",
    )
    command = [program("nats-server"), "-c", str(config)]
    async with running(command, folder / "log", lambda: listens(port)):
        yield f"nats://127.0.0.1:{port}"


@contextlib.asynccontextmanager
async def s3(folder: Path) -> AsyncIterator[str]:
    """host:port of a versitygw whose root key is `bench`."""
    port = free_port()
    objects, users = folder / "objects", folder / "users"
    for made in (objects, users):
        made.mkdir(parents=True)
    command = [built("versitygw"), "--port", f"127.0.0.1:{port}", "--access", KEY, "--secret", KEY]
    command += [
        "--iam-dir",
        str(folder / "users"),
        "--quiet",
        "--keep-alive",
        "posix",
        str(folder / "objects"),
    ]
    async with running(command, folder / "log", lambda: _speaks_http(port)):
        yield f"127.0.0.1:{port}"


def _file(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def program(name: str) -> str:
    """A server of the locked development dependencies."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if not found:
        raise AssertionError(f"{name} is missing; `make venv` brings it")
    return found


def built(name: str) -> str:
    """A server that `make cluster-build` compiles into the cache."""
    found = CACHE / "bin" / name
    if not found.exists():
        raise AssertionError(f"{found} is missing; `make cluster-build` builds it")
    return str(found)


def _speaks_http(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
