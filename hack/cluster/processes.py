"""Starting, recognising and stopping the cluster's programs.

A process id alone proves nothing (ids are used again, machines restart), so what we started is recorded
with the time the kernel says it began and the boot it began in.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from .settings import Instance
from .shell import ClusterError, say, wait_until

_GRACE = 10.0  # seconds between asking a program to stop and making it


@dataclass(frozen=True)
class Started:
    """A program we started, and what distinguishes it from a later one with its id."""

    pid: int
    began: str
    boot: str
    command: list[str]
    configuration: str  # hash over the files its command line names
    netns: int  # inode of the network namespace it was started in

    def alive(self) -> bool:
        """Whether it still runs."""
        return self.boot == boot_id() and _began(self.pid) == self.began


def boot_id() -> str:
    """What changes when the machine restarts."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def ensure_running(instance: Instance, name: str, command: list[str | Path]) -> bool:
    """Start a program inside the cluster's network unless it already runs just like that.

    Returns:
        Whether it had to be started.
    """
    words = [str(word) for word in command]
    configuration = _configuration(command)
    netns = instance.netns.stat().st_ino
    known = _read(instance, name)
    if known and known.alive():
        if (known.command, known.configuration, known.netns) == (words, configuration, netns):
            return False
        say(f"{name} runs with another configuration than it should: restarting it")
        stop(instance, name)
    elif known and known.boot == boot_id():
        say(f"{name} had died: starting it again")
    log = log_file(instance, name)
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    with log.open("w") as out:
        process = subprocess.Popen(
            ["nsenter", f"--net={instance.netns}", "--", *words],
            cwd=instance.state,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    began = _began(process.pid)
    if began is None:
        raise ClusterError(f"{name} ended at once, its log: {log}")
    record = Started(process.pid, began, boot_id(), words, configuration, netns)
    path = _record(instance, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(record)))
    fresh.rename(path)
    return True


def is_running(instance: Instance, name: str) -> bool:
    """Whether the program we started under this name is alive."""
    known = _read(instance, name)
    return known is not None and known.alive()


def stop(instance: Instance, name: str) -> None:
    """Stop the program we started under this name, if it runs, and let it finish its work."""
    known = _read(instance, name)
    if known and known.alive():
        os.kill(known.pid, signal.SIGTERM)
        with contextlib.suppress(ClusterError):  # it does not want to: killed below
            wait_until(f"{name} stopped", lambda: not known.alive(), _GRACE)
    kill(instance, name)


def kill(instance: Instance, name: str) -> None:
    """Kill the program we started under this name, if it runs."""
    known = _read(instance, name)
    if known and known.alive():
        kill_all([known.pid])
    _record(instance, name).unlink(missing_ok=True)


def log_file(instance: Instance, name: str) -> Path:
    """Where a program's output goes."""
    return instance.state / "logs" / f"{name}.log"


def strays(instance: Instance) -> list[int]:
    """Programs of this cluster that no record knows (it was lost, or written by an older version of us)."""
    records = (instance.state / "processes").glob("*.json")
    known = [_read(instance, record.stem) for record in records]
    recorded = {started.pid for started in known if started}
    return [pid for pid in _ours(instance, "localkube", "containerd") if pid not in recorded]


def shims(instance: Instance) -> list[int]:
    """The processes between containerd and the pods of this cluster."""
    return _ours(instance, "containerd-shim-runc-v2")


def _ours(instance: Instance, *programs: str) -> list[int]:
    """Processes that run one of the programs and name this cluster's folders in their command line."""
    marks = (f"{instance.state}/".encode(), f"{instance.run}/".encode())
    found = []
    for pid in _pids():
        try:
            program = Path(f"/proc/{pid}/exe").readlink().name.removesuffix(" (deleted)")
        except OSError:
            continue  # it ended meanwhile, belongs to the kernel, or is not ours to see
        command = _read_or_empty(Path(f"/proc/{pid}/cmdline"))
        if program in programs and any(mark in command for mark in marks):
            found.append(pid)
    return found


def kill_all(pids: list[int]) -> None:
    """Kill processes and wait until they are gone."""
    began = {pid: _began(pid) for pid in pids}
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            os.kill(pid, signal.SIGKILL)
    for pid, start in began.items():
        if start is not None:
            wait_until(f"process {pid} gone", lambda p=pid, s=start: _began(p) != s, _GRACE)  # type: ignore[misc]


def _configuration(command: list[str | Path]) -> str:
    digest = hashlib.sha256()
    for word in command:
        path = Path(word)
        if path.suffix in {".yaml", ".toml"} and path.exists():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _record(instance: Instance, name: str) -> Path:
    return instance.state / "processes" / f"{name}.json"


def _read(instance: Instance, name: str) -> Started | None:
    path = _record(instance, name)
    try:
        return Started(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        say(f"{path} cannot be read (a crash while it was written?), taken as absent")
        return None


def _began(pid: int) -> str | None:
    """Start time of a living process in clock ticks since boot; None when dead or a zombie."""
    stat = _read_or_empty(Path(f"/proc/{pid}/stat")).decode(errors="replace")
    # The second field, the name in brackets, may itself contain blanks and brackets.
    fields = stat.rpartition(")")[2].split()
    return fields[19] if fields and fields[0] not in "ZX" else None


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _read_or_empty(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""  # the process ended meanwhile
