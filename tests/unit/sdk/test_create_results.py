"""Results that are created together: one failure is one error of the client's tree."""

import ast
from pathlib import Path
from typing import Any, cast

import pytest

from armonik_sdk.client.errors import Unavailable
from armonik_sdk.client.results.client_result import create_results

PACKAGE = Path(__file__).resolve().parents[3] / "sdk/src/armonik_sdk"


class NoServer:
    """A connection whose NATS does not answer."""

    async def link(self) -> "NoServer":
        return self

    async def append_result(self, subject: str, record: object, expected: int) -> int:
        raise Unavailable(f"NATS does not answer: {subject}, {expected}, {record}")


async def test_a_server_that_does_not_answer_is_one_error_of_the_client() -> None:
    with pytest.raises(Unavailable, match="NATS does not answer"):
        await create_results(cast("Any", NoServer()), "team", "session", ["a", "b"], manual_deletion=False)


def test_no_group_of_exceptions_leaves_a_function_of_the_sdk() -> None:
    unhandled = []
    for module in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(module.read_text(encoding="utf-8"))
        handled = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.Try | ast.TryStar)
            and any("ExceptionGroup" in ast.unparse(handler.type or node) for handler in node.handlers)
            for inner in ast.walk(node)
        }
        unhandled += [
            f"{module.relative_to(PACKAGE)}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.AsyncWith) and "TaskGroup()" in ast.unparse(node.items[0])
            if id(node) not in handled
        ]
    assert unhandled == []
