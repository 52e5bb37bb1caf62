"""What long lists take: the program holds a page of them at a time."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

MOST = 200
"""MiB of a whole process."""
PAGES, SIZE = 20, 500


def _task(number: int) -> dict[str, Any]:
    condition = {"type": "Ready", "status": "True", "reason": "Admitted", "message": "m" * 60}
    times = {"creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{"manager": "x" * 200}]}
    return {
        "apiVersion": "armonik.io/v1alpha1",
        "kind": "Task",
        "metadata": {"name": f"task-{number}", "uid": f"{number}", **times},
        "spec": {"session": "demo", "payload": {"inline": "x" * 200}},
        "status": {
            "phase": "Error",
            "progress": "0/1",
            "elements": {"total": 1, "failed": 1},
            "conditions": [condition] * 3,
            "failures": [{"index": i, "reason": "WorkerError", "message": "m" * 1000} for i in range(10)],
        },
    }


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of an apiserver that has 10,000 tasks."""
    items = [_task(number) for number in range(SIZE)]

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            at = int(parse_qs(urlsplit(self.path).query).get("continue", ["1"])[0])
            meta = {"resourceVersion": "1"} | ({"continue": str(at + 1)} if at < PAGES else {})
            body = json.dumps({"kind": "TaskList", "metadata": meta, "items": items}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    path = tmp_path_factory.mktemp("pages") / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    user = {"name": "u", "user": {"token": "t"}}
    config = {"clusters": [cluster], "contexts": [context], "users": [user], "current-context": "c"}
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **config}))
    yield path
    server.shutdown()
    thread.join()
    server.server_close()


MEASURED = """
import re, sys
from pathlib import Path
from armonik_sdk.cli.main import main
code = main(sys.argv[1:])
sys.stdout.flush()
sys.stderr.write(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
sys.exit(code)
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux' account of memory")
@pytest.mark.parametrize("form", ["table", "json"])
def test_a_list_of_10000_tasks_takes_as_much_as_a_page(kubeconfig: Path, form: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEASURED, "task", "list", "-o", form, "--kubeconfig", str(kubeconfig)]
    with (tmp_path / "out").open("wb") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=True)
    assert (tmp_path / "out").read_bytes().count(b"task-499") >= PAGES
    assert int(done.stderr) / 1024 < MOST
