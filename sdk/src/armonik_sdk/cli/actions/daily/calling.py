"""Calls a function on the cluster, and writes what comes back."""

import importlib
import json
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from armonik_sdk.aio import Client, connect
from armonik_sdk.aio.core.connecting import LOCAL
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.errors import BadInput
from armonik_sdk.cli.exit_codes import ExitCode
from armonik_sdk.cli.frame.settings import Settings
from armonik_sdk.cli.output.remarks import remark
from armonik_sdk.client.errors import NotFound

DAY: Final = 86_400
"""Seconds that a session is kept after its end, where that is wanted; else until it is deleted."""


@dataclass(frozen=True)
class Call:
    """What to call, with what, where."""

    function: str
    arguments: Sequence[str]
    items_file: str | None
    partition: str
    packages: Sequence[str]
    code: Sequence[str]
    timeout: float | None
    """Seconds of one call."""
    keep: bool

    def calls(self) -> Iterator[tuple[Any, ...]]:
        """The arguments of each call.

        Raises:
            BadInput: a line of the file is not JSON.
        """
        if self.items_file is None:
            yield tuple(map(argument, self.arguments))
            return
        with Path(self.items_file).open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    said = json.loads(line)
                except json.JSONDecodeError as error:
                    raise BadInput(f"{self.items_file}, line {number}: {error}") from error
                yield tuple(said) if isinstance(said, list) else (said,)


def argument(text: str) -> Any:
    """A JSON value, or the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def function_of(name: str) -> Callable[..., Any]:
    """The function of `MODULE:FUNCTION`, of a module of the working folder or an installed one.

    Raises:
        BadInput: there is none.
    """
    module, colon, path = name.partition(":")
    if not (module and colon and path):
        raise BadInput(f"{name!r}: write MODULE:FUNCTION")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise BadInput(f"{name!r} cannot be imported: {error}") from error
    if not callable(found):
        raise BadInput(f"{name!r} is no function")
    return found  # type: ignore[no-any-return]  # it can be called


async def call(settings: Settings, wanted: Call) -> int:
    """Call it, once or for each line; a line is written for each call as it ends.

    Returns:
        The exit code: 1 if a call failed.

    Raises:
        BadInput: there is no such function, or the file is not what it should be.
        FunctionsError: function or arguments cannot be sent.
        ClientError: the cluster refuses it, or does not answer.
    """
    function = function_of(wanted.function)
    name = f"run-{secrets.token_hex(5)}"
    client = await connect(settings.namespace, kubeconfig=settings.kubeconfig, context=settings.context)
    async with client:
        failed = await _called(client, name, function, wanted)
    if client.namespace == LOCAL:
        return ExitCode.FAILED if failed else ExitCode.DONE  # the grid of this machine is gone
    if wanted.keep:
        remark(settings, f"session {name} is kept for a day: armonikctl task list -s {name}")
    else:
        await _delete(settings, name)
    return ExitCode.FAILED if failed else ExitCode.DONE


async def _called(client: Client, name: str, function: Callable[..., Any], wanted: Call) -> bool:
    failed = False
    async with await client.session(
        name,
        partitions=[wanted.partition],
        ttl=DAY,
        code=list(wanted.code) or "loaded",
        packages=list(wanted.packages) or None,
    ) as session:
        called = session.options(timeout=wanted.timeout).starmap(function, wanted.calls())
        async for index, value in called.as_completed(errors="return"):
            failed = failed or isinstance(value, BaseException)
            sys.stdout.write(line(index, value) + "\n")
            sys.stdout.flush()
    return failed


def line(index: int, value: Any) -> str:
    """What came back, as one line of JSON."""
    if isinstance(value, BaseException):
        said: dict[str, Any] = {"error": {"type": type(value).__name__, "message": str(value)}}
    else:
        try:
            return json.dumps({"index": index, "value": value}, ensure_ascii=False)
        except (TypeError, ValueError):
            said = {"repr": repr(value)}
    return json.dumps({"index": index, **said}, ensure_ascii=False)


async def _delete(settings: Settings, name: str) -> None:
    cluster = await Cluster.connect(settings)
    try:
        await (await cluster.client.session(name)).delete()
    except NotFound:
        return
    finally:
        await cluster.close()
