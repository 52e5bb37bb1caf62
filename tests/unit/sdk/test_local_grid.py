"""The grid of this machine as users of it have it: `LocalGrid`, ARMONIK_GRID, the plugin of pytest."""

import os
import runpy
import subprocess
import sys
import textwrap
import threading
import uuid
from pathlib import Path
from types import FrameType

import pytest

import armonik_sdk as ak
from armonik_sdk.testing import LocalGrid

SCRIPT = """
    import armonik_sdk as ak

    def square(x):
        return x * x

    with ak.connect() as client, client.session() as session:
        print(list(session.map(square, range(4))), session.submit(square, 3).result())
"""


def test_a_grid_gives_a_client_of_its_own() -> None:
    with LocalGrid(workers=1) as client, client.session() as session:
        assert session.submit(abs, -1).result(60) == 1
        assert client.namespace == "local"
        assert [info.name for info in client.sessions()] == [session.name]
        assert {info.name for info in client.partitions()} == {"default", "python"}
    with pytest.raises(ak.NotConnected):
        client.session()


async def test_asynchronous_code_gets_an_asynchronous_client() -> None:
    async with LocalGrid() as client, await client.session() as session:
        assert await session.submit(abs, -2) == 2
        assert await session.map(abs, [-1, -2]).results() == [1, 2]


def test_nothing_is_left_of_it() -> None:
    with LocalGrid() as client, client.session() as session:
        session.submit(abs, -1).result(60)
        engine = client._core.grid
        folder: Path = engine._store.folder  # type: ignore[attr-defined]
        template = engine._processes._template  # type: ignore[attr-defined]
        assert folder.is_dir()
    assert not folder.exists()
    assert template.poll() is not None


def test_a_number_of_workers_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="workers: at least 1, not 0"):
        LocalGrid(0)
    with pytest.raises(ValueError, match="workers: 1 with inline=True, not 2"):
        LocalGrid(2, inline=True)


class Seen:
    """What functions in this process leave here."""

    def __init__(self) -> None:
        self.frames: list[str] = []
        self.begun, self.gate = threading.Event(), threading.Event()


SEEN = Seen()


def place() -> tuple[int, str]:
    sys.stdout.write("here\n")
    return os.getpid(), threading.current_thread().name


def hold() -> int:
    SEEN.begun.set()
    assert SEEN.gate.wait(60)
    return 3


def test_inline_functions_run_in_this_process(capsys: pytest.CaptureFixture[str]) -> None:
    with LocalGrid(inline=True) as client, client.session(code=None) as session:
        future = session.submit(place)
        assert future.result(60) == (os.getpid(), f"element {future.grid_task.uid}.0")
    assert capsys.readouterr().out == "here\n"


def test_a_debugger_stops_in_inline_functions() -> None:
    def trace(frame: FrameType, event: str, _: object) -> None:
        if frame.f_code is place.__code__:
            SEEN.frames.append(event)

    threading.settrace(trace)
    try:
        with LocalGrid(inline=True) as client, client.session(code=None) as session:
            session.submit(place).result(60)
    finally:
        threading.settrace(None)  # type: ignore[arg-type]  # the type of typeshed lacks it
    assert SEEN.frames == ["call"]


def test_an_inline_function_has_no_time_limit_and_is_left_when_it_is_cancelled() -> None:
    SEEN.begun.clear()
    SEEN.gate.clear()
    with LocalGrid(inline=True) as client, client.session(code=None) as session:
        held = session.options(timeout=0.01).submit(hold)
        assert SEEN.begun.wait(60)
        after = session.submit(abs, -1)
        with pytest.raises(ak.WaitTimeout):
            after.result(0.2)
        SEEN.gate.set()
        assert (held.result(60), after.result(60)) == (3, 1)
        SEEN.begun.clear()
        SEEN.gate.clear()
        held = session.submit(hold)
        assert SEEN.begun.wait(60)
        assert held.cancel()
        assert session.submit(abs, -2).result(60) == 2, "nobody waits for it"
    SEEN.gate.set()


def test_what_inline_functions_import_from_is_forgotten_at_the_end(tmp_path: Path) -> None:
    name = f"named_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text("NUMBER = 7\n")
    before = list(sys.path)
    with LocalGrid(inline=True) as client, client.session(code=[tmp_path / f"{name}.py"]) as session:
        assert session.submit(runpy.run_module, name).result(60)["NUMBER"] == 7
        assert sys.path[: len(before)] == before
    assert sys.path == before


def test_a_program_ends_while_an_inline_function_runs(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "import time\n"
        "import armonik_sdk as ak\n"
        "with ak.connect() as client:\n"
        "    session = client.session(on_exit='keep')\n"
        "    future = session.submit(time.sleep, 1e6)\n"
        "    while future.info().phase in ('Waiting', 'Submitted'): time.sleep(0.01)\n"
        "print('over')\n"
    )
    env = {"ARMONIK_GRID": "local:inline", "PATH": "", "PYTHONPATH": ":".join(filter(None, sys.path))}
    ran = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (ran.stdout, ran.stderr) == ("over\n", "")


@pytest.mark.parametrize("grid", ["local", "local:1", "local:inline"])
def test_a_program_runs_on_it_without_a_change(grid: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    env = {"ARMONIK_GRID": grid, "PATH": "", "PYTHONPATH": ":".join(filter(None, sys.path))}
    ran = subprocess.run(
        [sys.executable, "-W", "error", "script.py"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("[0, 1, 4, 9] 9\n", "")


def test_another_grid_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARMONIK_GRID", "moon")
    with pytest.raises(ValueError, match="ARMONIK_GRID: local, local:<workers> or local:inline, not 'moon'"):
        ak.connect()


def test_functions_of_modules_beside_the_script_are_found(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("def twice(x):\n    return 2 * x\n")
    (tmp_path / "script.py").write_text(
        "import armonik_sdk as ak, helper\n"
        "with ak.connect('local') as client, client.session() as session:\n"
        "    print(session.submit(helper.twice, 4).result())\n"
    )
    ran = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, check=False
    )
    assert ran.stdout == "8\n", ran.stderr


def test_the_fixture_is_a_session(armonik_session: ak.Session) -> None:
    assert armonik_session.submit(abs, -3).result(60) == 3
