"""Building workers in other languages: what is missing is named, and nothing else is left out."""

import sys
from pathlib import Path

import pytest
from hack.polyglot import __main__ as commands
from hack.polyglot import build

ORIGINS = {"rust/Cargo.lock": "source = ", "node/package-lock.json": '"resolved"'}
"""Where these lock files would name the registry that they were made with."""


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without any toolchain, where none can be installed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("ARMONIK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "can_run_locally", lambda: False)


def asked(monkeypatch: pytest.MonkeyPatch, *languages: str) -> int:
    """The exit code of a build."""
    monkeypatch.setattr(sys, "argv", ["polyglot", "build", *languages])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("name", sorted(set(build.LANGUAGES) - {"python", "cpp"}))
@pytest.mark.usefixtures("bare")
def test_a_language_without_its_toolchain_is_left_out_with_the_reason(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(monkeypatch, name) == 0
    language = build.LANGUAGES[name]
    said = capsys.readouterr().err
    assert f"{name} is left out: no {' and no '.join(language.programs)}: {language.mend}" in said


@pytest.mark.usefixtures("bare")
def test_a_missing_header_is_missing_too(monkeypatch: pytest.MonkeyPatch) -> None:
    header = "/no/such/header.h"
    monkeypatch.setitem(build.LANGUAGES, "cpp", build.Language((header,), "install it", build._cpp, ()))
    assert build.lacks("cpp") == f"no {header}: install it"


@pytest.mark.usefixtures("bare")
def test_a_build_that_fails_with_its_toolchain_there_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(folder: Path) -> None:
        raise build.PolyglotError("does not compile")

    monkeypatch.setitem(build.LANGUAGES, "go", build.Language((), "", fails, ()))
    assert asked(monkeypatch, "go") == 1
    assert "does not compile" in capsys.readouterr().err
    with pytest.raises(build.PolyglotError, match="make polyglot-build LANGUAGES=go"):
        build.command("go")


@pytest.mark.parametrize("lock", ORIGINS)
def test_a_lock_file_names_no_registry(lock: str) -> None:
    assert ORIGINS[lock] not in (build.SOURCES / lock).read_text()
