"""Write armonik_sdk.sync from armonik_sdk.aio, or check that it is up to date.

python -m hack.generate.sync            write the modules
python -m hack.generate.sync --check    exit 1 and name every file that differs

Each module of `MODULES` becomes one of the same name: coroutines become functions, asynchronous iterators
iterators, `async with` becomes `with`. What is awaited on `self._core` runs on the client's event loop
(`portal.run`, `portal.iterate`); all else that is awaited is blocking there already. Comments are not kept.
"""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Final

from hack.generate.files import ROOT, differing, write_or_check

PACKAGE = ROOT / "sdk" / "src" / "armonik_sdk"
MODULES: Final = ("client", "declare", "map_result", "ref", "session", "waiting")
HEADER = "# Generated from armonik_sdk.aio by hack/generate/sync.py; do not edit.\n"
PACKAGE_DOCSTRING: Final = (
    "Functions on the grid, blocking: made from `armonik_sdk.aio`; `armonik_sdk` has its names."
)


IMPORTS: Final = {
    **{f"armonik_sdk.aio.{name}": f"armonik_sdk.sync.{name}" for name in MODULES},
    "armonik_sdk.aio.executor": "armonik_sdk.sync.executor",
    "armonik_sdk.aio.results.gathering": "armonik_sdk.sync.portal",
    "armonik_sdk.aio.core.connecting": "armonik_sdk.sync.portal",
}
"""Modules, and those that take their place."""
NAMES: Final = {
    "AsyncIterator": "Iterator",
    "__aiter__": "__iter__",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
}
ENDS: Final = {("Client", "close"): "end"}
"""Methods whose call on the core is made by another function of the portal."""
BASES: Final = {"MapResult": "Sequence[R]"}
"""Classes that have another base in blocking code."""


class Blocking(ast.NodeTransformer):
    """Makes blocking code of a module."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self._class = ""
        self._method = ""

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Remember the class, and give it its other base."""
        self._class = node.name
        if node.name in BASES:
            node.bases = [ast.parse(BASES[node.name], mode="eval").body]
            self.used.add("Sequence")
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        """`async def` becomes `def`."""
        self._method = node.name
        self.generic_visit(node)
        fields = {name: value for name, value in ast.iter_fields(node) if name != "name"}
        return ast.copy_location(ast.FunctionDef(name=NAMES.get(node.name, node.name), **fields), node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Remember its name."""
        self._method = node.name
        return self.generic_visit(node)

    def visit_Await(self, node: ast.Await) -> ast.AST:
        """What is awaited on the core runs on its loop."""
        self.generic_visit(node)
        if _on_core(node.value):
            function = ENDS.get((self._class, self._method), "run")
            return self._through(function, node.value)
        return node.value

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        """The same of what is iterated."""
        self.generic_visit(node)
        fields = dict(ast.iter_fields(node))
        if _on_core(node.iter):
            fields["iter"] = self._through("iterate", node.iter)
        return ast.copy_location(ast.For(**fields), node)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        """`async with` becomes `with`."""
        self.generic_visit(node)
        return ast.copy_location(ast.With(**dict(ast.iter_fields(node))), node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Names of types."""
        return ast.copy_location(ast.Name(NAMES.get(node.id, node.id), node.ctx), node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """`Awaitable[R]` is `R`."""
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id == "Awaitable":
            return node.slice
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        """Import from the blocking modules."""
        node.module = IMPORTS.get(node.module or "", node.module)
        for alias in node.names:
            alias.name = NAMES.get(alias.name, alias.name)
        node.names = [alias for alias in node.names if alias.name != "Awaitable"]
        return node

    def _through(self, function: str, call: ast.expr) -> ast.expr:
        self.used.add(function)
        core = ast.parse("self._core", mode="eval").body
        arguments = [core] if function == "end" else [core, call]
        return ast.Call(func=ast.Name(function, ast.Load()), args=arguments, keywords=[])


def _on_core(node: ast.expr) -> bool:
    """Whether it is `self._core.…(…)`."""
    return isinstance(node, ast.Call) and ast.unparse(node.func).startswith("self._core.")


def blocking(source: str) -> str:
    """The blocking module of an asynchronous one, not formatted yet."""
    tree, made = ast.parse(source), Blocking()
    tree = made.visit(tree)
    extra = sorted(made.used & {"run", "iterate", "end"})
    imports = [f"from armonik_sdk.sync.portal import {', '.join(extra)}"] if extra else []
    if "Sequence" in made.used:
        imports.append("from collections.abc import Sequence")
    body = list(tree.body)
    first = 1 if ast.get_docstring(tree) is not None else 0
    body[first:first] = ast.parse("\n".join(imports)).body
    tree.body = body
    return HEADER + ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def package(source: str) -> str:
    """The blocking `__init__`: the same names."""
    tree = ast.parse(source)
    body = [node for node in tree.body if not isinstance(node, ast.Expr)]
    tree.body = [ast.Expr(ast.Constant(PACKAGE_DOCSTRING)), *(Blocking().visit(node) for node in body)]
    return HEADER + ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def formatted(text: str, path: Path) -> str:
    """As `make format` would leave it."""
    ruff = [sys.executable, "-m", "ruff"]
    name = ["--stdin-filename", str(path)]
    for command in (
        [*ruff, "check", "--fix", "--unsafe-fixes", "--exit-zero", "--quiet", *name, "-"],
        [*ruff, "format", *name, "-"],
    ):
        text = subprocess.run(
            command, input=text, capture_output=True, text=True, check=True, cwd=ROOT
        ).stdout
    return text


def files() -> dict[Path, str]:
    """Every file that should exist, with its content."""
    made = {name: blocking((PACKAGE / "aio" / f"{name}.py").read_text()) for name in MODULES}
    made["__init__"] = package((PACKAGE / "aio" / "__init__.py").read_text())
    paths = {PACKAGE / "sync" / f"{name}.py": text for name, text in made.items()}
    return {path: formatted(text, path) for path, text in paths.items()}


def stale() -> list[Path]:
    """Files that differ from what would be written."""
    return differing(files())


def main() -> int:
    """Write or check; the exit code says whether the files are now right."""
    return write_or_check(__doc__, files, stale, "twins", ROOT)


if __name__ == "__main__":
    sys.exit(main())
