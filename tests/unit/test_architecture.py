"""What the documents say of the code's structure is so: packages, floors, bounds, paths, numbers of rules."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
SOURCES = {
    "armonik_operator": REPOSITORY / "operator" / "src",
    "armonik_agent": REPOSITORY / "agent" / "src",
    "armonik_sdk": REPOSITORY / "sdk" / "src",
}
MODULES = sorted(module for source in SOURCES.values() for module in source.rglob("*.py"))
PACKAGES = [module.parent for module in MODULES if module.name == "__init__.py"]
ARCHITECTURE = (REPOSITORY / "ARCHITECTURE.md").read_text()
CONTRACTS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
DOCUMENTS += [REPOSITORY / "charts" / "armonik" / "README.md"]

MOST_AT_TOP, MOST_MODULES, MOST_LINES, MOST_PARAMETERS = 20, 8, 400, 7
MANY_MODULES = {
    "armonik_sdk/api": "its names are those of the field, and everything imports them",
    "armonik_sdk/functions": "each is a part of what is sent; the worker imports all of them",
    "armonik_sdk/api/kinds": "one module for each part of a kind, named as in the manifests",
}
MANY_PARAMETERS = {
    "armonik_sdk/client/handles/session.py SessionHandle.submit": "public call with keywords",
    "armonik_sdk/functions/messages.py encode_call": "public call with keywords",
    "armonik_sdk/worker/element.py Element.__init__": "public; users make it in their tests, with keywords",
}
MADE = ("bench/out",)
"""Paths that documents name and that only exist once something was run."""


def name_of(path: Path) -> str:
    """The path below its source folder, with slashes."""
    return next(path.relative_to(s).as_posix() for s in SOURCES.values() if path.is_relative_to(s))


def first_line(module: Path) -> str:
    return (ast.get_docstring(ast.parse(module.read_text())) or "").partition("\n")[0]


def floors(container: str) -> list[str]:
    """The layers of the contract of that package, from the top down."""
    found = [c for c in CONTRACTS if c.get("containers") == [container]]
    return [name for layer in found[0]["layers"] for name in re.split(r" *[|:] *", layer)] if found else []


def test_every_test_that_the_diagram_names_exists() -> None:
    named = re.findall(r"(?:(test_\w+\.py): )?(test_[a-z_]+)\b(?!\.py)", ARCHITECTURE)
    assert len(named) > 15
    for file, test in named:
        source = (REPOSITORY / "tests" / "e2e" / (file or "test_flow.py")).read_text()
        assert f"def {test}(" in source, f"{file or 'test_flow.py'} has no {test}"


# Packages and their table.


def rows() -> dict[str, str]:
    """What the tables of ARCHITECTURE.md say of each package, by its name, in their order."""
    found, root = {}, ""
    for line in ARCHITECTURE.partition("\n## Packages\n")[2].partition("\n## ")[0].splitlines():
        if begins := re.match(r"`\w+/src/(\w+)`", line):
            root = begins[1]
        if row := re.fullmatch(r"\| `([\w/]+)/` \| (.*) \|", line):
            found[f"{root}/{row[1]}"] = row[2]
    return found


def test_each_package_has_a_row_that_says_what_its_docstring_says() -> None:
    packages = {name_of(package): first_line(package / "__init__.py") for package in PACKAGES}
    assert {name: line for name, line in packages.items() if "/" in name} == rows()


@pytest.mark.parametrize("root", ["armonik_operator", "armonik_agent"])
def test_the_table_lists_packages_in_the_order_of_their_floors(root: str) -> None:
    packages = [name for name in floors(root) if (SOURCES[root] / root / name).is_dir()]
    listed = [name.partition("/")[2] for name in rows() if name.startswith(f"{root}/")]
    assert [name for name in listed if "/" not in name] == packages


# The way of one Task.


def test_the_way_of_one_task_is_short_and_names_no_file_twice() -> None:
    section = ARCHITECTURE.partition("\n## The way of one Task\n")[2].partition("\n## ")[0]
    assert len(section.strip().splitlines()) <= 25
    files = re.findall(r"`([\w/]+\.py)`", section)
    assert len(files) > 20
    assert len(files) == len(set(files))


def test_the_way_of_one_task_names_functions_of_the_file_before_them() -> None:
    section = ARCHITECTURE.partition("\n## The way of one Task\n")[2].partition("\n## ")[0]
    for file, function in re.findall(r"`([\w/]+\.py)`,? \(?`([\w.]+)`", section):
        texts = [module.read_text() for module in MODULES if name_of(module).endswith(f"/{file}")]
        assert texts, file
        for name in function.split("."):
            pattern = rf"(def|class) {name}\b"
            assert any(re.search(pattern, text) for text in texts), f"{file} has no {function}"


def test_each_function_that_the_guide_for_contributors_names_is_in_the_file_before_it() -> None:
    parts = re.split(r"`([\w/]+\.py)`", (REPOSITORY / "CONTRIBUTING.md").read_text())
    found = 0
    for file, text in zip(parts[1::2], parts[2::2], strict=True):
        for name in re.findall(r"`([a-z_]+|[A-Z]\w+)`", text.partition("\n\n")[0]):
            found += 1
            pattern = rf"(def|class) {name}\b"
            assert re.search(pattern, (REPOSITORY / file).read_text()), f"{file} has no {name}"
    assert found > 8


# Bounds.


@pytest.mark.parametrize("root", SOURCES)
def test_a_distribution_has_few_entries_at_its_top(root: str) -> None:
    entries = {path.name for path in (SOURCES[root] / root).iterdir()}
    entries -= {"__init__.py", "py.typed", "__pycache__"}
    assert len(entries) <= MOST_AT_TOP, sorted(entries)


def test_a_package_has_few_modules() -> None:
    """`__main__` is how a package is run, and not counted."""
    counts = {
        name_of(package): sum(m.name not in ("__init__.py", "__main__.py") for m in package.glob("*.py"))
        for package in PACKAGES
    }
    assert {n: count for n, count in counts.items() if count > MOST_MODULES and n not in MANY_MODULES} == {}
    assert MANY_MODULES.keys() <= counts.keys()


def test_a_module_is_short() -> None:
    lengths = {name_of(module): len(module.read_text().splitlines()) for module in MODULES}
    assert {n: lines for n, lines in lengths.items() if lines > MOST_LINES} == {}


def test_a_module_says_what_it_is() -> None:
    assert [name_of(module) for module in MODULES if not first_line(module)] == []


def functions(
    tree: ast.AST, within: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """All functions and methods, by their qualified names."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield within + node.name, node
        inner = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        yield from functions(node, f"{within}{node.name}." if inner else within)


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many a caller may give."""
    given, kinds = function.args, function.args.posonlyargs + function.args.args
    count = len(kinds) + len(given.kwonlyargs) + bool(given.vararg) + bool(given.kwarg)
    return count - bool(kinds and kinds[0].arg in ("self", "cls"))


def test_a_function_has_few_parameters() -> None:
    counts = {
        f"{name_of(module)} {name}": parameters(function)
        for module in MODULES
        for name, function in functions(ast.parse(module.read_text()))
    }
    many = {n: count for n, count in counts.items() if count > MOST_PARAMETERS}
    assert {n: count for n, count in many.items() if n not in MANY_PARAMETERS} == {}
    assert MANY_PARAMETERS.keys() <= many.keys(), "an exception that is needed no more"


# Contracts.


def turned_up(contract: dict[str, Any]) -> tuple[str, str]:
    """An import that the contract forbids: who imports, and what."""
    if contract["type"] == "independence":
        return contract["modules"][0], contract["modules"][1]
    if contract["type"] == "forbidden":
        return contract["source_modules"][-1], contract["forbidden_modules"][0]
    prefix = f"{contract['containers'][0]}." if "containers" in contract else ""
    top, bottom = (re.split(r" *[|:] *", contract["layers"][at])[0] for at in (0, -1))
    return prefix + bottom, prefix + top


def file_of(root: Path, module: str) -> Path:
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def test_each_contract_fails_when_one_import_is_turned_upward(tmp_path: Path) -> None:
    for root, source in SOURCES.items():
        shutil.copytree(source / root, tmp_path / root, ignore=shutil.ignore_patterns("__pycache__"))
    wrong = {contract["name"]: turned_up(contract) for contract in CONTRACTS}
    for importer, imported in wrong.values():
        with file_of(tmp_path, importer).open("a") as module:
            module.write(f"\nimport {imported}\n")
    command = [
        *(sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"),
        *("--no-cache", "--config", str(REPOSITORY / "pyproject.toml")),
    ]
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "300"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    for name, (importer, imported) in wrong.items():
        told = done.stdout.partition(f"\n{name}\n{'-' * len(name)}\n")[2]
        told = re.split(r"\n-{10,}\n", told)[0]
        assert re.search(rf"{re.escape(importer)} -> {re.escape(imported)}\b", told), f"{name}: {done.stdout}"


# What documents and comments refer to.


def texts() -> Iterable[tuple[str, str]]:
    """Names and texts of all documents, and of all of our code but this file."""
    folders = ("sdk", "operator", "agent", "tests", "hack", "bench")
    code = [path for folder in folders for path in (REPOSITORY / folder).rglob("*.py")]
    for path in [*DOCUMENTS, *code]:
        if path != Path(__file__):
            yield path.relative_to(REPOSITORY).as_posix(), path.read_text()


def tree() -> set[str]:
    """All paths of the repository, files and folders, and each one's ends."""
    top = [path for path in REPOSITORY.iterdir() if not path.name.startswith(".") and path.is_dir()]
    top += [REPOSITORY / ".ci", REPOSITORY / ".github"]
    found = [path.relative_to(REPOSITORY).parts for folder in top for path in [folder, *folder.rglob("*")]]
    found += [(path.name,) for path in REPOSITORY.iterdir()]
    return {"/".join(parts[at:]) for parts in found for at in range(len(parts))}


def test_each_path_that_a_document_names_exists() -> None:
    """A path begins with a folder of the repository, or ends as a module."""
    ends = tree()
    top = {path.name for path in REPOSITORY.iterdir() if path.is_dir()}
    wrong = []
    for document in DOCUMENTS:
        if document.name == "CHANGELOG.md":  # of another time
            continue
        for named in re.findall(r"`([\w./-]+)`", document.read_text()):
            path = named.rstrip("/")
            looks = path.endswith(".py") or ("/" in path and path.partition("/")[0] in top)
            if looks and path not in ends and not path.startswith(MADE):
                wrong.append(f"{document.name}: {named}")
    assert wrong == []


def test_each_module_that_is_named_by_its_dots_exists() -> None:
    wrong = set()
    for file, text in texts():
        for named in re.findall(r"\barmonik_(?:operator|agent|sdk)(?:\.[a-z_]\w*)+", text):
            path, *rest = SOURCES[named.partition(".")[0]], *named.split(".")
            for at, part in enumerate(rest):
                if (path / part).is_dir():
                    path /= part
                    continue
                module = path / f"{part}.py"
                inside = path / "__init__.py"
                known = module.exists() or (at > 0 and re.search(rf"\b{part}\b", inside.read_text()))
                if not known and named != "armonik_agent.sock":
                    wrong.add(f"{file}: {named}")
                break
    assert wrong == set()


def defined(module: Path) -> Iterator[str]:
    """Names that a document may use for what a module defines: with its class, its file or its package."""
    stem = module.parent.name if module.name == "__init__.py" else module.stem
    yield from (stem, f"{module.parent.name}.{stem}")
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            near, far = f"{stem}.{node.name}", f"{module.parent.name}.{node.name}"
            yield from (node.name, near, far, f"{module.parent.name}.{near}")
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{name}" for name, _ in functions(node))


def test_who_checks_a_bound_exists() -> None:
    """The column `checked in` of the protocol's table names things of the code."""
    section = (REPOSITORY / "docs" / "protocol.md").read_text().partition("\n## Bounds\n")[2]
    known = {name for module in MODULES for name in defined(module)}
    cells = [line.split("|")[4] for line in section.splitlines() if line.startswith("| ")]
    named = {name for cell in cells for name in re.findall(r"`([\w.]+)`", cell)} - {"max_payload"}
    assert len(named) > 20
    assert sorted(named - known) == []


def test_each_rule_of_the_protocol_that_is_referred_to_exists() -> None:
    protocol = (REPOSITORY / "docs" / "protocol.md").read_text()
    section = protocol.partition("\n## Rules\n")[2].partition("\n## ")[0]
    rules = {int(number) for number in re.findall(r"^(\d+)\. ", section, re.MULTILINE)}
    assert rules == set(range(1, len(rules) + 1))
    numbers, wrong = 0, []
    for file, text in texts():
        for named in re.findall(r"\brules? (\d+(?:(?:, | and )\d+)*)", text):
            numbers += 1
            wrong += [f"{file}: rule {n}" for n in re.findall(r"\d+", named) if int(n) not in rules]
        wrong += [
            f"{file}: {old}"
            for old in re.findall(r"(?i)protocol steps?\b|\bsteps? [SFL]\d|\btable D\d", text)
        ]
    assert numbers > 40
    assert wrong == []
