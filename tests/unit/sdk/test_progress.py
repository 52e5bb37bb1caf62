"""How far work is: numbers from looks, what each kind of screen shows of them, and a notebook that is run."""

import io
import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

import armonik_sdk as ak
import armonik_sdk.aio as aio
from armonik_sdk.aio.core.progress import ProgressCore
from armonik_sdk.aio.display import screens
from armonik_sdk.aio.display.pace import Counts, Pace, View, duration, summed
from armonik_sdk.aio.display.screens import Lines, Terminal, in_html, line, screen_for
from armonik_sdk.client.errors import Unavailable
from armonik_sdk.testing import LocalGrid


@pytest.fixture(scope="module")
def client() -> Iterator[ak.Client]:
    with LocalGrid(workers=2) as client:
        yield client


@pytest.fixture
def session(client: ak.Client) -> Iterator[ak.Session]:
    with client.session(on_exit="cancel") as made:
        yield made


class Recorder:
    """A screen that keeps what it is shown."""

    def __init__(self) -> None:
        self.views: list[View] = []
        self.last: View | None = None
        self.changed = threading.Condition()

    def show(self, view: View) -> None:
        with self.changed:
            self.views.append(view)
            self.changed.notify_all()

    def close(self, view: View) -> None:
        self.last = view

    def wait_for(self, wanted: Any) -> View:
        with self.changed:
            assert self.changed.wait_for(lambda: any(wanted(view) for view in self.views), 60)
        return next(view for view in self.views if wanted(view))


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr("armonik_sdk.aio.core.progress.screen_for", lambda stream: recorder)
    return recorder


class OnTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def held(path: str, value: int) -> int:
    while not Path(path).exists():
        time.sleep(0.01)
    return value


# Numbers --------------------------------------------------------------------------------------------------


def test_the_rate_is_of_the_last_seconds() -> None:
    pace = Pace()
    for at in range(31):
        pace.add(at, Counts(10_000, 5 * min(at, 20) + 100 * max(0, at - 20)))
    assert pace.rate == 100
    view = View("square", Counts(10_000, 1_100), pace.rate)
    assert view.seconds_left == pytest.approx(89)
    assert view.details == ["100/s", "89 s left"]


def test_nothing_is_still_that_has_moved_or_ended() -> None:
    pace = Pace()
    pace.add(0, Counts(10, 1, running=1))
    assert not pace.still(1.9)
    assert pace.still(2)
    pace.add(2, Counts(10, 1, running=2))
    assert not pace.still(3)
    pace.add(4, Counts(10, 10))
    assert not pace.still(60)


def test_several_kinds_of_work_are_counted_together() -> None:
    both = summed([Counts(10, 4, 1, running=2, queued=4), Counts(5, 5)])
    assert both == Counts(15, 9, 1, running=2, queued=4)


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "1 s"), (89, "89 s"), (600, "10 min"), (7_500, "2 h 5 min")]
)
def test_times_are_said_as_people_do(seconds: float, said: str) -> None:
    assert duration(seconds) == said


# Screens --------------------------------------------------------------------------------------------------

VIEW = View("square", Counts(1_000, 640, 2, running=12, queued=346), 95.0, "all 2 pods are <busy>")


def test_a_terminal_shows_a_bar_and_the_reason_for_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("TERM", "xterm")
    stream = OnTerminal()
    screen = screen_for(stream)
    assert isinstance(screen, Terminal)
    screen.show(View("square", Counts(1_000)))
    screen.close(VIEW)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    first, second = text.rpartition("\r")[2].splitlines()
    assert first.split()[0] == "square"
    assert "640/1,000  2 failed · 12 running · 346 queued · 95/s · 4 s left" in first
    assert "━" in first
    assert second.strip() == "waits: all 2 pods are <busy>"


def test_without_rich_a_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.live", None)
    assert isinstance(screen_for(OnTerminal()), Lines)


def test_what_is_no_terminal_gets_a_line_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("armonik_sdk.aio.display.screens.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    screen = screen_for(stream)
    for second in range(25):
        now[0] = 100.0 + second
        screen.show(View("square", Counts(100, second)))
    screen.close(VIEW)
    assert stream.getvalue().splitlines() == ["square: 10/100", "square: 20/100", line(VIEW)]
    assert line(VIEW) == (
        "square: 640/1,000, 2 failed, 12 running, 346 queued, 95/s, 4 s left; waits: all 2 pods are <busy>"
    )


def test_a_program_without_standard_error_shows_nothing() -> None:
    screen = screen_for(None)
    screen.show(VIEW)
    screen.close(VIEW)


def test_html_says_the_same_and_is_not_broken_by_what_it_says() -> None:
    html = in_html(VIEW)
    assert '<progress value="640" max="1000"' in html
    assert "waits: all 2 pods are &lt;busy&gt;" in html


# Looks ----------------------------------------------------------------------------------------------------


def test_values_are_iterated_while_it_is_shown(session: ak.Session, screen: Recorder) -> None:
    mapped = session.map(abs, range(-3, 0))
    more = session.submit(abs, -9)
    assert list(ak.progress(mapped, more)) == [3, 2, 1, 9]
    assert screen.last is not None
    assert screen.last.label == "abs"
    assert screen.last.counts == Counts(4, 4, 0, running=0, queued=0, waiting=0)


async def test_asynchronous_code_has_the_same(screen: Recorder) -> None:
    async with LocalGrid() as client, await client.session() as session:
        mapped = session.map(abs, range(-3, 0))
        assert [value async for value in aio.progress(mapped)] == [3, 2, 1]
        async with aio.progress(mapped, label="numbers"):
            await mapped.wait()
        async with aio.progress(mapped, label="numbers") as shown:
            pass
        assert shown._core._watching.done()
    assert screen.last is not None
    assert (screen.last.label, screen.last.position) == ("numbers", "3/3")


def test_the_reason_is_shown_when_nothing_moves(
    session: ak.Session, screen: Recorder, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    mapped = session.map(held, [str(gate)] * 4, range(4))
    with ak.progress(mapped):
        view = screen.wait_for(lambda view: view.why)
        assert view.why == "all 2 workers are busy"
        assert (view.counts.running, view.counts.queued) == (2, 2)
        gate.touch()
        assert mapped.results(60) == [0, 1, 2, 3]
    assert screen.last is not None
    assert (screen.last.position, screen.last.why) == ("4/4", "")


def test_failures_are_counted_and_those_tried_again_are_not(
    session: ak.Session, screen: Recorder, tmp_path: Path
) -> None:
    path = tmp_path / "second"

    def fragile(x: int) -> int:
        if x == 2 and not path.exists():
            raise ValueError(x)
        return x

    mapped = session.map(fragile, range(4))
    with ak.progress(mapped):
        mapped.wait(60)
    assert screen.last is not None
    assert (screen.last.counts.ended, screen.last.counts.failed) == (4, 1)
    path.touch()
    again = mapped.retry_failed()
    with ak.progress(again):
        again.wait(60)
    assert (screen.last.counts.ended, screen.last.counts.failed) == (4, 0)


def test_a_part_of_a_map_is_counted_by_itself(session: ak.Session, screen: Recorder, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    mapped = session.map(lambda x: held(str(gate), x) if x > 1 else x, range(4))
    with ak.progress(mapped[:2]):
        screen.wait_for(lambda view: view.counts == Counts(2, 2))
        gate.touch()


def test_a_session_is_counted_as_a_whole(session: ak.Session, screen: Recorder) -> None:
    futures = [session.submit(abs, -1), session.submit(divmod, 1, 0)]
    with ak.progress(session):
        ak.wait(futures)
    assert screen.last is not None
    assert (screen.last.label, screen.last.counts) == (session.name, Counts(2, 2, 1))
    with pytest.raises(TypeError, match="has no values; use a `with` block"):
        list(ak.progress(session))


def test_a_map_that_could_not_be_sent_has_failed(session: ak.Session, screen: Recorder) -> None:
    session.map(abs, [1, 2], name="twice").wait(60)
    again = session.map(abs, [1, 2], name="twice")
    with ak.progress(again), pytest.raises(ak.AlreadyExists):
        again.wait(60)
    assert screen.last is not None
    assert screen.last.counts == Counts(2, 2, 2)


async def test_a_grid_that_does_not_answer_is_the_reason() -> None:
    async with LocalGrid() as client, await client.session() as session:
        mapped = session.map(abs, [-1])
        await mapped.wait()
        recorder = Recorder()
        core = ProgressCore([mapped], None, recorder)

        async def down() -> Counts:
            raise Unavailable("no route")

        core._things[0].counts = down  # type: ignore[method-assign]
        assert not await core.look()
        core.close()
    assert recorder.last is not None
    assert recorder.last.why == "the grid does not answer: no route"


def test_the_end_of_the_client_ends_it(screen: Recorder) -> None:
    with LocalGrid() as client, ak.progress(client.session()):
        client.close()
    assert screen.last is not None


def test_what_cannot_be_shown_is_named(client: ak.Client, session: ak.Session) -> None:
    with pytest.raises(ValueError, match="progress: name a future, the result of a map, or a session"):
        ak.progress()
    with pytest.raises(TypeError, match="progress: of futures, results of maps and sessions, not of list"):
        ak.progress([1])  # type: ignore[arg-type]
    with (
        LocalGrid() as other,
        other.session() as theirs,
        pytest.raises(ValueError, match="progress: all that is shown together is of one client"),
    ):
        ak.progress(session, theirs)


# Notebooks ------------------------------------------------------------------------------------------------


def test_what_notebooks_show_of_things(client: ak.Client, session: ak.Session) -> None:
    mapped = session.map(abs, range(3))
    failed = session.submit(divmod, 1, 0)
    mapped.wait(60)
    failed.exception(60)
    assert '<progress value="3" max="3"' in mapped._repr_html_()
    assert "ZeroDivisionError" in failed._repr_html_()
    assert '<progress value="4" max="4"' in session._repr_html_()
    assert session.name in client._repr_html_()
    (partition, *_) = client.partitions()
    assert "<strong>Partition default</strong>" in partition._repr_html_()


async def test_asynchronous_things_show_what_they_know() -> None:
    async with LocalGrid() as client, await client.session() as session:
        assert "Client of local" in client._repr_html_()
        assert session.name in session._repr_html_()
        assert "Map of abs" in session.map(abs, [1, 2])._repr_html_()


CELLS = [
    "import armonik_sdk as ak\nclient = ak.connect('local')\nsession = client.session(on_exit='cancel')",
    "list(ak.progress(session.map(lambda x: x * x, range(4)), label='squares'))",
    "import armonik_sdk.aio as aio\n"
    "async with await aio.connect('local') as other, await other.session() as its:\n"
    "    print([value async for value in aio.progress(its.map(abs, [-1, -2]))])",
    "session",
    "client.close()",
]


@pytest.mark.filterwarnings("default")  # of Jupyter's own
def test_a_notebook_shows_it_without_any_extension(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    kernel = tmp_path / "kernels" / "ours"
    kernel.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "ours", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbclient.NotebookClient(notebook, timeout=240, kernel_name="ours").execute()
    squares, twins, shown = (cell["outputs"] for cell in notebook.cells[1:4])
    bars = [out["data"] for out in squares if out["output_type"] == "display_data"]
    assert len(bars) == 1, "the bar is replaced in its place"
    assert '<progress value="4" max="4"' in bars[0]["text/html"]
    assert bars[0]["text/plain"].startswith("squares: 4/4")
    assert [out["data"]["text/plain"] for out in squares if out["output_type"] == "execute_result"] == [
        "[0, 1, 4, 9]"
    ]
    assert [out["data"]["text/html"] for out in twins if out["output_type"] == "display_data"]
    assert [out["text"] for out in twins if out["output_type"] == "stream"] == ["[1, 2]\n"]
    assert "<strong>Session session-" in shown[0]["data"]["text/html"]


def test_a_shell_that_is_no_notebook_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Module:
        @staticmethod
        def get_ipython() -> object:
            return object()

    monkeypatch.setitem(sys.modules, "IPython", Module)  # type: ignore[arg-type]
    assert screens.notebook_shell() is None
