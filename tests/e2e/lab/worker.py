"""The worker of the end-to-end tests: it does, or fails to do, what the task's options ask for.

Options (all text): `mode`, and what the mode takes.

- `echo` (default): the payload, as the result
- `noop`: an empty result
- `sleep`: sleeps `seconds`, then echoes; with `until` only while that file is missing, which it makes first
- `told`: the request that the worker got, as JSON
- `extra`: a result of its own with the text `text` beside the expected ones, which carry its id
- `crash`: the process ends at once, without an answer; with `until` only while that file is missing, which it
  makes first, so the next execution in the same pod echoes
- `abort`: the process aborts
- `memory`: takes memory until it is stopped
- `stubborn`: sleeps `seconds`, deaf to every signal that can be ignored
- `raise`: an exception leaves the processing function
- `error`: returns an error with the text `message`
- `silent`: success without a result
- `concat`: the data dependencies, sorted by id, joined by commas
- `subtasks`: payload "1 2 3": one child squares each number, a last one adds up what they made and is handed
  this task's own outputs; with `then: "error"` or `then: "raise"` it fails after that
- `hostile`: looks for what is not its own: files, processes, servers (`nats`, `s3`, `bucket`, `object`,
  `namespace` say where); the result is all it could read
- with `code`, whatever the mode: the call is answered with that gRPC status
- `swap`: puts a link to `target` in the place of its result after it reported it to the agent
"""

import ctypes
import json
import os
import signal
import socket
import ssl
import time
import urllib.error
import urllib.request
from datetime import timedelta
from pathlib import Path

import grpc
from armonik.common import Output, TaskDefinition, TaskOptions
from armonik.common.channel import create_channel
from armonik.protogen.common.agent_common_pb2 import NotifyResultDataRequest
from armonik.worker import TaskHandler, armonik_worker
from armonik.worker.worker import ArmoniKWorker


@armonik_worker()
def lab(task: TaskHandler) -> Output:
    options = task.task_options.options
    match options.get("mode", "echo"):
        case "echo":
            return _send(task, task.payload)
        case "noop":
            return _send(task, b"")
        case "sleep":
            if _first(options.get("until", "")):
                time.sleep(float(options.get("seconds", "1")))
            return _send(task, task.payload)
        case "told":
            return _send(task, json.dumps(_told(task)).encode())
        case "extra":
            made = task.create_results({"extra": options.get("text", "").encode()})
            return _send(task, made["extra"].result_id.encode())
        case "crash":
            if _first(options.get("until", "")):
                os._exit(17)
            return _send(task, task.payload)
        case "abort":
            os.abort()
        case "memory":
            hoard = []
            while True:
                hoard.append(b"x" * (1 << 24))
        case "stubborn":
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                ctypes.CDLL(None).signal(int(number), 1)  # SIG_IGN, from a thread that Python would refuse
            time.sleep(float(options.get("seconds", "1")))
            return _send(task, task.payload)
        case "raise":
            raise RuntimeError(options.get("message", "asked to raise"))
        case "error":
            return Output(error=options.get("message", "asked to fail"))
        case "silent":
            return Output()
        case "square":
            return _send(task, str(int(task.payload) ** 2).encode())
        case "sum":
            return _send(task, str(sum(int(data) for _, data in task.data_dependencies.items())).encode())
        case "concat":
            return _send(task, b",".join(data for _, data in sorted(task.data_dependencies.items())))
        case "subtasks":
            return _subtasks(task)
        case "hostile":
            return _send(task, json.dumps(_loot(task, options), default=str).encode())
        case "swap":
            _send(task, task.payload)
            for result in task.expected_results:
                _link(task, result, options["target"])
            return Output()
        case mode:
            return Output(error=f"unknown mode {mode!r}")


def _told(task: TaskHandler) -> dict[str, object]:
    options = task.task_options
    return {
        "session": task.session_id,
        "task": task.task_id,
        "expected": list(task.expected_results),
        "options": dict(options.options),
        "priority": options.priority,
        "maxRetries": options.max_retries,
        "partition": options.partition_id,
        "application": options.application_name,
    }


def _send(task: TaskHandler, data: bytes) -> Output:
    task.send_results(dict.fromkeys(task.expected_results, data))
    return Output()


def _first(until: str) -> bool:
    """Whether the file was missing, or none is asked for."""
    if not until:
        return True
    missing = not Path(until).exists()
    Path(until).touch()
    return missing


def _subtasks(task: TaskHandler) -> Output:
    numbers = task.payload.decode().split()
    payloads = task.create_results({f"number-{i}": number.encode() for i, number in enumerate(numbers)})
    payloads |= task.create_results({"none": b""})
    squares = task.create_results_metadata([f"square-{i}" for i in range(len(numbers))])
    square_ids = [squares[f"square-{i}"].result_id for i in range(len(numbers))]
    task.submit_tasks(
        [
            TaskDefinition(payload_id=payloads[f"number-{i}"].result_id, expected_output_ids=[square])
            for i, square in enumerate(square_ids)
        ],
        _child_options(task, "square"),
    )
    task.submit_tasks(
        [
            TaskDefinition(
                payload_id=payloads["none"].result_id,
                expected_output_ids=task.expected_results,
                data_dependencies=square_ids,
            )
        ],
        _child_options(task, "sum"),
    )
    match task.task_options.options.get("then"):
        case "error":
            return Output(error="asked to fail after submitting")
        case "raise":
            raise RuntimeError("asked to raise after submitting")
        case _:
            return Output()


def _child_options(task: TaskHandler, mode: str) -> TaskOptions:
    own = task.task_options
    return TaskOptions(
        max_duration=own.max_duration or timedelta(minutes=1),
        priority=own.priority,
        max_retries=own.max_retries,
        partition_id=own.partition_id,
        options={"mode": mode},
    )


def _loot(task: TaskHandler, options: dict[str, str]) -> dict[str, object]:
    """Everything within reach, secret or not: whoever reads it knows what to look for."""
    processes = [entry for entry in Path("/proc").glob("[0-9]*") if _content(entry / "cmdline")]
    roots = [Path("/"), *(entry / "root" for entry in processes)]
    files = [
        file
        for root in roots
        for folder in ("run", "var/run", "cache", "tmp", "etc/armonik", "credentials")
        for file in _below(root / folder)
    ]
    files += [entry / name for entry in processes for name in ("environ", "cmdline", "maps", "mountinfo")]
    api = f"https://kubernetes.default.svc/api/v1/namespaces/{options['namespace']}/secrets"
    expected = task.expected_results[0]
    _link(task, expected, "/run/armonik/s3-secret-key")
    found = {
        "environment": dict(os.environ),
        "files": {str(file): _content(file).decode("latin-1") for file in files},
        "descriptors": [str(_target(link)) for entry in processes for link in _below(entry / "fd")],
        "foreign processes": [
            str(entry) for entry in processes if b"worker.py" not in _content(entry / "cmdline")
        ],
        "token": [str(file) for file in _below(Path("/var/run/secrets")) if _content(file)],
        "apiserver": _http(api),
        "nats": _greet(options["nats"]),
        "s3 list": _http(f"http://{options['s3']}/{options['bucket']}?list-type=2"),
        "s3 get": _http(f"http://{options['s3']}/{options['object']}"),
        "metadata address": _http("http://169.254.169.254/latest/meta-data/"),
        "wrong token": _notify(task, expected, token="guessed"),
        "path outside": _notify(task, "../../../run/armonik/s3-secret-key", token=task.token),
        "link as result": _notify(task, expected, token=task.token),
    }
    (Path(task.data_folder) / expected).unlink()
    return found


def _below(folder: Path) -> list[Path]:
    try:
        return [file for file in folder.rglob("*") if not file.is_dir() and not file.is_socket()]
    except OSError:
        return []  # hidden, which is what a hostile worker should meet everywhere


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(64 * 1024)
    except OSError:
        return b""


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _link(task: TaskHandler, result: str, target: str) -> None:
    place = Path(task.data_folder) / result
    place.unlink(missing_ok=True)
    place.symlink_to(target)


def _notify(task: TaskHandler, result: str, token: str) -> str:
    """What the agent answers to a reported result."""
    ids = [NotifyResultDataRequest.ResultIdentifier(session_id=task.session_id, result_id=result)]
    try:
        task._client.NotifyResultData(NotifyResultDataRequest(ids=ids, communication_token=token))
    except grpc.RpcError as error:
        return str(error.code().name)
    return "accepted"


def _http(url: str) -> object:
    """The status of an answer, and its body if there is one to steal."""
    trust = ssl._create_unverified_context()
    try:
        with urllib.request.urlopen(url, timeout=5, context=trust) as answer:
            return answer.read(64 * 1024).decode("latin-1")
    except urllib.error.HTTPError as refusal:
        return refusal.code
    except OSError:
        return "unreachable"


def _greet(address: str) -> str:
    """What NATS says to a stranger."""
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.settimeout(5)
        said = connection.recv(4096)
        connection.sendall(b'CONNECT {"verbose":false}\r\nSUB > 1\r\nPING\r\n')
        while not said.endswith(b"PONG\r\n") and (more := connection.recv(4096)):
            said += more
        return said.decode("latin-1")


class _Answering(ArmoniKWorker):  # type: ignore[misc]
    """The published worker, but for tasks that ask for a status in place of an answer."""

    def Process(self, request, context):  # noqa: N802 - the service's name
        if code := request.task_options.options.get("code"):
            context.abort(grpc.StatusCode[code], "asked to answer so")
        return super().Process(request, context)


if __name__ == "__main__":
    with create_channel(lab.agent_endpoint, options=lab.channel_options) as channel:
        _Answering(channel, lab.processor, logger=lab.logger).start(lab.worker_endpoint)
