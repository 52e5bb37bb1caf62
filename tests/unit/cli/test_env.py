"""`env`: what is built without a cluster, what is refused, and what a session of the same files sends."""

import json
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from armonik_sdk.aio.calls.code import Code
from armonik_sdk.aio.calls.packages import cache_folder, install
from armonik_sdk.aio.calls.target import Target
from armonik_sdk.cli import main as program
from armonik_sdk.cli.forms.installation import Environment
from armonik_sdk.cli.output.writers import Rows
from armonik_sdk.cli.views.results import ENVIRONMENT
from fake_uv import Uv, uv

__all__ = ["uv"]


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "lib"
    folder.mkdir()
    (folder / "own.py").write_text("NAME = 1\n")
    return folder


def built(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What `env build` says of it, in the documented form."""
    assert program.main(["env", "build", *arguments, "-o", "json"]) == 0, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    Environment.model_validate(found)
    return found


def test_packages_and_code_are_one_archive_for_the_python_that_is_named(
    uv: Uv, code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = built(capsys, "polars>=1", "--python", "3.12", "--code", str(code))
    assert found["python"] == "3.12"
    assert not {"platform", "object", "created"} & found.keys()
    with zipfile.ZipFile(found["path"]) as opened:
        assert opened.namelist() == ["lib/own.py", "of_a_package.py", "pkg/fast.so"]
    assert found["files"] == 3
    assert found["size"] == Path(found["path"]).stat().st_size
    ((given, asked),) = uv.asked
    assert asked == "polars>=1"
    assert given[given.index("--python-version") + 1] == "3.12"
    assert "--python-platform" not in given


def test_a_session_of_the_same_files_has_the_same_archive(
    uv: Uv, code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = built(capsys, "polars", "--python", "3.12", "--code", str(code))
    cache = cache_folder()
    packages = install(["polars"], Target("3.12"), cache)
    assert Code([code], packages, cache).look() == found["metadata"]["name"]
    alone = built(capsys, "--code", str(code))
    assert Code([code]).look() == alone["metadata"]["name"]
    assert "python" not in alone
    assert len(uv.asked) == 1


def test_requirements_may_be_in_a_file_or_a_lock(
    uv: Uv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, lock = tmp_path / "requirements.txt", tmp_path / "uv.lock"
    file.write_text("a==1\nb==2\n")
    lock.touch()
    built(capsys, "-r", str(file), "--python", "3.11")
    built(capsys, "--lock", str(lock), "--python", "3.11")
    assert [asked for _, asked in uv.asked] == ["a==1\nb==2\n", "polars==1.0 --hash=sha256:00\n"]


def test_to_people_it_says_the_name_and_where_the_archive_is(
    uv: Uv, code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["env", "build", "a", "--python", "3.12", "--code", str(code)]) == 0
    written = capsys.readouterr()
    found = built(capsys, "a", "--python", "3.12", "--code", str(code))
    assert written.out == f"{found['metadata']['name']}\n"
    installed, kept = written.err.splitlines()
    assert installed == "packages are installed for Python 3.12"
    assert kept.startswith(f"3 files, an archive of {found['size']} bytes; it is kept in {found['path']}, ")
    assert len(uv.asked) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name packages, -r FILE, --lock uv.lock or --code PATH"),
        (["a", "-r", __file__], "packages are named here, or by -r, or by --lock"),
        (["--lock", __file__], "is no uv.lock"),
        (["a", "--python", "3"], "write a version of Python as 3.12"),
        (["a", "--python", "three"], "write a version of Python as 3.12"),
    ],
)
def test_what_cannot_be_built_is_wrong_usage(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["env", "build", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_packages_that_cannot_be_installed_say_why(
    uv: Uv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["env", "build", "broken", "--python", "3.12"]) == 1
    assert "broken has no wheels with a matching platform tag" in capsys.readouterr().err
    file = tmp_path / "requirements.txt"
    file.write_text("-r other.txt\n")
    assert program.main(["env", "build", "-r", str(file), "--python", "3.12"]) == 2
    assert "names another file" in capsys.readouterr().err
    assert len(uv.asked) == 1


def test_the_list_shows_name_size_and_age(capsys: pytest.CaptureFixture[str]) -> None:
    made = datetime.now(UTC).replace(microsecond=0)
    entry = {
        "metadata": {"name": "a" * 64},
        "size": 7,
        "created": made.isoformat(),
        "object": f"team/env/{'a' * 64}",
    }
    writer = Rows(sys.stdout, ENVIRONMENT, wide=True)
    writer.page([entry])
    titles, row = (line.split() for line in capsys.readouterr().out.splitlines())
    assert titles == ["NAME", "SIZE", "AGE", "OBJECT"]
    assert (row[0], row[1], row[3]) == ("a" * 64, "7", entry["object"])
