"""A bound on the memory of a process: a control group of version 1 or 2, where this machine has them."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Bound:
    """A control group, or none."""

    group: Path | None
    why: str = ""
    """Why there is none."""

    @property
    def entering(self) -> list[str]:
        """A command that enters the group and becomes the program that follows."""
        if self.group is None:
            return []
        return ["/bin/sh", "-c", f'echo $$ > {self.group}/cgroup.procs; exec "$@"', "sh"]


@contextlib.contextmanager
def bounded(mebibytes: int) -> Iterator[Bound]:
    """A control group with `mebibytes` of memory, during the block; its processes must end before."""
    name = f"armonik-bench-{os.getpid()}"
    for parent, limit in ((_ROOT / "memory", "memory.limit_in_bytes"), (_ROOT, "memory.max")):
        group = parent / name
        try:
            group.mkdir()
        except OSError as error:
            why = str(error)
            continue
        try:
            (group / limit).write_text(str(mebibytes * 2**20))
        except OSError as error:
            group.rmdir()
            why = str(error)
            continue
        try:
            yield Bound(group)
        finally:
            group.rmdir()
        return
    yield Bound(None, why)


def held(pid: int) -> tuple[float, float]:
    """MiB that a process holds now, and held at most since it began."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    now, most = (int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, most
