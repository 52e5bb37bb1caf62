"""A function worker without an agent: the test itself makes the call that gives it a run."""

import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc

from armonik_sdk.api.runcall import METHOD, frame, unframe

DEADLINE = 90.0
FUNCTION = Path(__file__).parent / "worker_habits.py"


def eventually(true: Callable[[], Any]) -> Any:
    """Look again and again until it is so; what it then is."""
    end = time.monotonic() + DEADLINE
    while not (found := true()):
        assert time.monotonic() < end, "it never became so"
        time.sleep(0.02)
    return found


def read(answer: bytes) -> Iterator[dict[str, Any]]:
    """Entries of a frame, each with its output."""
    told, blobs = unframe(answer)
    for entry in told["ended"]:
        places = {"result": (entry.get("outputs") or {}).get("result"), "printed": entry.pop("printed", None)}
        yield entry | {
            name: bytes(blobs[number]).decode() for name, number in places.items() if number is not None
        }


class FunctionWorker:
    """The process, its log, and one call after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "worker.sock"
        env = os.environ | {
            "ComputePlane__WorkerChannel__Address": str(self.socket),
            "ComputePlane__AgentChannel__Address": str(folder / "agent.sock"),
        }
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            self.process = subprocess.Popen([sys.executable, str(FUNCTION)], env=env, stdout=out, stderr=err)
        self._channel = grpc.insecure_channel(
            f"unix://{self.socket}", options=[("grpc.default_authority", "localhost")]
        )
        eventually(self.socket.exists)

    def out(self) -> str:
        """What reached its standard output so far."""
        return (self.folder / "out").read_text(errors="replace")

    def err(self) -> str:
        """The same of its standard error."""
        return (self.folder / "err").read_text(errors="replace")

    def run(self, *payloads: str, limit: float = 3600, printed: int = 0) -> dict[int, dict[str, Any]]:
        """Give it a run, an element for each payload; how each ended."""
        return {entry["index"]: entry for entry in self.ends(*payloads, limit=limit, printed=printed)}

    def ends(self, *payloads: str, limit: float = 3600, printed: int = 0) -> Iterator[dict[str, Any]]:
        """Give it a run at once; each element as it ends, with at most `printed` bytes that it printed."""
        elements = [
            {"index": index, "id": f"t.{index}", "payload": index, "outputs": {"result": f"r{index}"}}
            for index in range(len(payloads))
        ]
        head = {"elements": elements, "folder": str(self.folder), "options": {}, "limit": limit}
        if printed:
            head["printed"] = printed
        given: queue.Queue[bytes | None] = queue.Queue()
        given.put(frame(head, [payload.encode() for payload in payloads]))
        given.put(None)
        answers = self._channel.stream_stream(METHOD)(
            iter(given.get, None), timeout=DEADLINE, wait_for_ready=True
        )
        return (entry for answer in answers for entry in read(answer))

    def processes(self) -> dict[int, str]:
        """All processes that it started, wherever they hang in the tree; state and command by id."""
        parents, said, found = dict[int, int](), dict[int, str](), dict[int, str]()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
                ours = str(self.socket).encode() in (folder / "environ").read_bytes()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            state, parent = rest.split()[:2]
            pid = int(folder.name)
            parents[pid], said[pid] = int(parent), f"{state} {name}"
            if ours and pid != self.process.pid:
                found[pid] = said[pid]
        below = found.keys() | {self.process.pid}  # what is dead and not reaped has no environment
        return found | {pid: said[pid] for pid, parent in parents.items() if parent in below}

    def close(self) -> None:
        """End it as Kubernetes does."""
        self._channel.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=DEADLINE)
