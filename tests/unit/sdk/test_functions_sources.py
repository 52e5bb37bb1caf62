"""Which source files go along, and their archive."""

import sys
import types
import zipfile
from pathlib import Path

import pytest

from armonik_sdk.functions import (
    CodeTooLarge,
    archive,
    loaded_sources,
    named_sources,
    project_folders,
    unpack,
)
from armonik_sdk.functions.sources import SourceFile, checked


def write(path: Path, text: str = "x = 1\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def module(name: str, path: Path | None) -> types.ModuleType:
    made = types.ModuleType(name)
    if path is not None:
        made.__file__ = str(path)
    return made


def test_loaded_modules_of_the_project_go_and_others_do_not(tmp_path: Path) -> None:
    project, library = tmp_path / "project", tmp_path / "python"
    loaded = {
        "__main__": write(project / "main.py"),
        "pkg": write(project / "pkg/__init__.py"),
        "pkg.mod": write(project / "pkg/mod.py"),
        "space.inner": write(project / "space/inner.py"),
        "installed": write(project / ".venv/lib/python3.11/site-packages/installed.py"),
        "json": write(library / "json.py"),
        "elsewhere": write(tmp_path / "other/elsewhere.py"),
        "fast": write(project / "fast.so"),
        "space": None,
        "gone": project / "gone.py",
    }
    write(project / "pkg/never_imported.py")
    modules = {name: module(name, path) for name, path in loaded.items()}
    modules["alias"] = modules["pkg.mod"]
    found = loaded_sources(modules, [project], [library])
    assert [file.name for file in found] == ["pkg/__init__.py", "pkg/mod.py", "space/inner.py"]


def test_the_library_inside_the_project_does_not_go(tmp_path: Path) -> None:
    inside = write(tmp_path / "python/lib/thing.py")
    assert loaded_sources({"thing": module("thing", inside)}, [tmp_path], [tmp_path / "python"]) == []


def test_nothing_of_this_python_goes() -> None:
    folders = [Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()]
    assert loaded_sources(sys.modules, folders) == []


def test_the_project_is_the_folder_of_the_script(tmp_path: Path) -> None:
    script = module("__main__", tmp_path / "job.py")
    assert project_folders(script, Path("/else")) == (tmp_path,)


def test_the_project_of_a_module_that_is_run_holds_its_package(tmp_path: Path) -> None:
    tool = module("__main__", tmp_path / "pkg/sub/tool.py")
    tool.__package__ = "pkg.sub"
    assert project_folders(tool, Path("/else")) == (tmp_path,)


def test_the_project_of_a_notebook_is_the_working_folder(tmp_path: Path) -> None:
    assert project_folders(module("__main__", None), tmp_path, [tmp_path / "x"]) == (tmp_path, tmp_path / "x")


def test_named_code_is_a_file_or_all_of_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "src/pkg/__init__.py")
    write(tmp_path / "src/pkg/data/table.csv")
    write(tmp_path / "src/pkg/__pycache__/x.pyc")
    write(tmp_path / "table.csv")
    found = named_sources([tmp_path / "src/pkg", tmp_path / "table.csv"])
    assert [file.name for file in found] == ["pkg/__init__.py", "pkg/data/table.csv", "table.csv"]
    with pytest.raises(FileNotFoundError, match="gone"):
        named_sources([tmp_path / "gone"])


def test_too_much_code_names_the_ten_largest_files() -> None:
    files = [SourceFile(f"{n}.py", Path(f"/p/{n}.py"), n * 1000) for n in range(12)]
    with pytest.raises(CodeTooLarge) as caught:
        checked(files, most=10_000)
    said = str(caught.value)
    assert said.index("/p/11.py (11,000 bytes)") < said.index("/p/2.py")
    assert "/p/1.py" not in said


def test_an_archive_is_named_after_its_content(tmp_path: Path) -> None:
    write(tmp_path / "a/pkg/mod.py")
    write(tmp_path / "b/pkg/mod.py")
    one, other = (
        archive(named_sources([tmp_path / side / "pkg"]), tmp_path / f"into-{side}") for side in "ab"
    )
    assert one.sha256 == other.sha256
    assert one.path.read_bytes() == other.path.read_bytes()
    write(tmp_path / "b/pkg/mod.py", "x = 2\n")
    assert archive(named_sources([tmp_path / "b/pkg"]), tmp_path / "into-b").sha256 != one.sha256


def test_an_archive_is_unpacked_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "pkg/mod.py", "x = 3\n")
    made = archive(named_sources([tmp_path / "pkg"]), tmp_path / "env")
    unpack(made.path, tmp_path / "out")
    assert (tmp_path / "out/pkg/mod.py").read_text() == "x = 3\n"


def test_an_archive_beyond_the_bound_names_the_image(tmp_path: Path) -> None:
    write(tmp_path / "pkg/mod.py")
    with pytest.raises(CodeTooLarge, match="Build an image"):
        archive(named_sources([tmp_path / "pkg"]), tmp_path / "env", most=10)


@pytest.mark.parametrize("name", ["../out.py", "/etc/passwd", "a/../../b"])
def test_an_archive_that_names_places_outside_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as made:
        made.writestr(name, "x")
    with pytest.raises(ValueError, match="outside"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("x", bytes(10**6))
    with pytest.raises(ValueError, match="1,000,000 bytes unpacked"):
        unpack(tmp_path / "x.zip", tmp_path / "out", most=1000)


def test_what_is_no_archive_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path / "x.zip", "no archive")
    with pytest.raises(ValueError, match="no ZIP file"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.zip"]
