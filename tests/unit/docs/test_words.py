"""Texts use standard terms: docstrings, comments, messages, documents, the chart's comments, tests' names."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

BANNED = {
    r"tells?|told|telling": "report, say which, name, distinguish",
    r"stands?|stood|standing": "exist, be stored, be in",
    r"for ever": "until cancelled, without end",
    r"go(es)? on|going on|went on": "continue, resume",
    r"hears?|heard": "receive",
    r"heeds?|heeded": "follow, react to",
    r"speaks? for": "act for",
    r"in vain": "without success",
    r"what there is": "all objects",
    r"mend(s|ed|ing)?": "fix, correct, remedy",
    r"afresh": "again, from the start",
    r"for good": "permanently, finally",
    r"now and then": "at intervals",
    r"all the same": "nevertheless",
    r"(is|are|be|was|were) had": "is available, is used",
    r"lent|lends?": "give, pass",
    r"furnish(es|ed)?": "create what a namespace needs",
    r"misfortune": "faults",
    r"one's own|oneself": "its own, your own",
    r"on turn": "next, measured",
    r"long ago": "the time that has passed",
    r"hence|thence": "therefore",
    r"so many (?!that|\w+ that)": "the name of the argument, too many",
    r"wish(es)?": "preference",
}
"""Turns of phrase, and what to write instead."""
FIXED = re.compile(
    '"mend"|^mend {4}|Mend the image or template|mend the input or the function|goes on by itself',
    re.MULTILINE,
)
"""What explanations say word for word: those texts are fixed, for programs and documents that quote them."""

NAME = re.compile(r"^ *(?:async )?def (test_\w+)\(", re.MULTILINE)
FOLDERS = [
    "operator/src/armonik_operator",
    "agent/src/armonik_agent",
    "sdk/src/armonik_sdk",
    "hack",
    "bench",
    "examples",
    "tests",
]
PACKAGES = sorted(
    str(path.relative_to(ROOT))
    for folder in FOLDERS
    for path in [ROOT / folder, *(ROOT / folder).iterdir()]
    if path.is_dir() and path.name != "__pycache__"
)
DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "tests/**/*.md",
        "charts/**/*.md",
        "charts/**/*.yaml",
        "charts/**/*.tpl",
        "charts/**/*.txt",
        "charts/**/*.json",
        "examples/**/*.yaml",
        "images/*/Dockerfile",
        ".github/**/*.yml",
        "hack/**/*.sh",
        "Makefile",
    )
    for path in ROOT.glob(pattern)
)


@pytest.mark.parametrize("package", PACKAGES)
def test_code_uses_standard_terms(package: str) -> None:
    path = ROOT / package
    modules = sorted(path.glob("*.py") if package in FOLDERS else path.rglob("*.py"))
    assert [
        f"{module.relative_to(ROOT)}:{line}: {fault}"
        for module in modules
        if module != Path(__file__).resolve()
        for line, text in _texts(module.read_text(encoding="utf-8"))
        for fault in _faults(text)
    ] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_use_standard_terms(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    if document == "docs/performance.md":  # its results are written by a program, with the names of systems
        text = text.partition("<!-- end of results -->")[2]
    assert [fault for part in text.split("\n\n") for fault in _faults(part)] == []


def test_names_of_tests_use_standard_terms() -> None:
    modules = sorted((ROOT / "tests").rglob("*.py"))
    names = [(module, name) for module in modules for name in NAME.findall(module.read_text("utf-8"))]
    names += [(module, module.stem) for module in modules]
    assert len(names) > 1000
    assert [
        f"{module.relative_to(ROOT)}: {fault}"
        for module, name in names
        for fault in _faults(name.replace("_", " "))
    ] == []


def test_a_banned_turn_is_found_in_every_kind_of_text() -> None:
    module = (
        '"""Tells it."""\n'
        "class Seen:\n"
        '    """What stands.\n\n    Looked at for\n    ever."""\n'
        "    size = 1  # of what is told\n"
        '    """Goes on."""\n'
        'log.info("%s goes on", name)\n'
        'message = f"{name} waits for ever"\n'
        'KEY = "told"\n'
        '"""See `told`, [there](told.md)."""\n'
    )
    found = [(line, fault.split("'")[1].lower()) for line, text in _texts(module) for fault in _faults(text)]
    assert sorted(found) == [
        (1, "tells"),
        (3, "for ever"),
        (3, "stands"),
        (7, "told"),
        (8, "goes on"),
        (9, "goes on"),
        (10, "for ever"),
    ]


def _faults(text: str) -> Iterator[str]:
    """What is banned in a text, wherever its lines break; code and the targets of links do not count."""
    text = FIXED.sub("", text)
    prose = " ".join(re.sub(r"`[^`\n]*`|\]\([^)\n]*\)", "", re.sub(r"\n\s*[#*]+ ", " ", text)).split())
    for pattern, instead in BANNED.items():
        for found in re.finditer(rf"\b(?:{pattern})\b", prose, re.IGNORECASE):
            around = prose[max(0, found.start() - 50) : found.end() + 40]
            yield f"{found[0]!r} in {around!r}: write {instead}"


def _texts(source: str) -> Iterator[tuple[int, str]]:
    """Docstrings, comments, and string literals of several words: messages and log lines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value if " " in node.value else ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
