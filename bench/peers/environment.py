"""The peers' own virtual environment, made on first use, in the project's cache."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench.peers import Peer
from bench.run import SystemFailed

PINS: Final = Path(__file__).with_name("requirements.txt")
INSTALL_SECONDS: Final = 600


def python() -> Path:
    """Its interpreter; empty of packages when new.

    Raises:
        SystemFailed: it cannot be made.
    """
    cache = Path(os.environ.get("ARMONIK_CACHE") or Path.home() / ".cache/armonik-k8s")
    mark = hashlib.sha256(PINS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache / "bench" / f"peers-{mark}"
    found = folder / "bin" / "python"
    if not found.exists():
        _said([*_uv(cache), "venv", "--quiet", "--python", sys.executable, str(folder)])
    return found


def install(peer: Peer, interpreter: Path) -> None:
    """Have the peer's packages there, in the versions of requirements.txt. Quick when they are.

    Raises:
        SystemFailed: they cannot be installed; the message has the installer's words.
    """
    cache = interpreter.parents[3]
    words = ["pip", "install", "--quiet", "--python", str(interpreter), "--constraint", str(PINS)]
    _said([*_uv(cache), *words, *peer.packages])


def _uv(cache: Path) -> list[str]:
    """Uv as `make venv` finds it."""
    return [shutil.which("uv") or str(cache / "uv-tool/bin/uv")]


def _said(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SystemFailed(f"{Path(command[0]).name}: {error}") from error
    if done.returncode:
        raise SystemFailed(f"cannot be installed: {done.stderr.strip()[-400:]}")
