"""How far long work is: what is read from a program's output, and when a line is shown."""

from __future__ import annotations

import io

import pytest
from hack.cluster.progress import (
    Announced,
    Board,
    Compiled,
    Downloaded,
    Job,
    Reader,
    Silent,
    Stale,
    Steps,
    duration,
    fitted,
    status,
)


def _after(reader: Reader, *lines: str) -> str:
    for line in lines:
        reader.read(line)
    return reader.words()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min 00 s"), (425, "7 min 05 s"), (3_720, "1 h 02 min")],
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_compiled_packages_are_counted_and_messages_are_not() -> None:
    lines = (
        "internal/goarch",
        "k8s.io/api/core/v1",
        "# k8s.io/thing",
        "go: downloading k8s.io/api v0.34.4",
        "",
    )
    assert _after(Compiled(1_940), *lines) == "2 of 1,940 packages compiled"


def test_the_last_package_is_linked() -> None:
    assert _after(Compiled(2), "os", "pause") == "linking"


def test_packages_are_counted_where_the_total_is_not_known() -> None:
    assert _after(Compiled(0), "os") == "1 packages compiled"


def test_downloaded_modules_are_counted() -> None:
    assert _after(Downloaded()) == "looking at its sources"
    assert _after(Downloaded(), "go: downloading a v1", "go: downloading b v1") == "2 modules downloaded"


def test_only_packages_that_no_build_left_behind_are_to_be_compiled() -> None:
    stale = Stale(Job("pause", 0, Downloaded()))
    for line in ("go: downloading a v1", "", "stale os", "", "stale pause"):
        stale.read(line)
    assert stale.count == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("STEP 3/12: RUN python3 -m venv /opt/pip", "step 3 of 12"),
        ("[2/3] STEP 1/4: FROM base AS code", "stage 2 of 3, step 1 of 4"),
        (
            "#7 [dependencies 2/3] COPY images/requirements/agent.txt /tmp/requirements.txt",
            "dependencies, step 2 of 3",
        ),
        ("#9 [stage-2 4/6] COPY --from=code /app /app", "stage-2, step 4 of 6"),
        ("#4 [2/5] RUN true", "step 2 of 5"),
    ],
)
def test_steps_of_an_image_are_read_from_both_builders(line: str, words: str) -> None:
    assert _after(Steps(), line, "Collecting grpcio==1.76.0", "#9 12.3 STEP 1/2") == words


def test_mmdebstrap_announces_what_it_does() -> None:
    assert (
        _after(Announced(), "I: installing packages...", "Get:1 bookworm InRelease") == "installing packages"
    )


def test_a_silent_program_shows_its_time_alone() -> None:
    assert status([("kind cluster", _after(Silent(), "x"), 61)]) == "kind cluster: 1 min 01 s"


def test_all_that_is_under_way_is_on_one_line() -> None:
    line = status([("localkube", "812 of 1,940 packages compiled", 133), ("the Python base image", "", 9)])
    assert line == "localkube: 812 of 1,940 packages compiled, 2 min 13 s; the Python base image: 9 s"


def test_a_line_never_wraps() -> None:
    assert fitted("x" * 20, 10) == "x" * 8 + "…"
    assert fitted("x" * 9, 10) == "x" * 9


class _Screen(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _minutes(board: Board, clock: _Clock, seconds: int) -> None:
    for _ in range(seconds):
        clock.now += 1
        board.tick()


def test_elsewhere_than_in_a_terminal_there_is_a_line_a_minute() -> None:
    screen, clock = _Screen(terminal=False), _Clock()
    board = Board(lambda: screen, clock)
    with board.job("localkube", Compiled(10)) as job:
        job.read("os")
        _minutes(board, clock, 59)
        assert screen.getvalue() == ""
        _minutes(board, clock, 62)
    assert screen.getvalue() == (
        "[cluster] localkube: 1 of 10 packages compiled, 1 min 00 s\n"
        "[cluster] localkube: 1 of 10 packages compiled, 2 min 00 s\n"
    )


def test_in_a_terminal_one_line_is_refreshed_and_messages_have_lines_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    screen, clock = _Screen(terminal=True), _Clock()
    board = Board(lambda: screen, clock)
    with board.job("pause"):
        _minutes(board, clock, 2)
        board.say("built coredns in 3 s")
        _minutes(board, clock, 1)
    clear = "\r\x1b[K"
    assert screen.getvalue() == (
        f"{clear}[cluster] pause: 1 s{clear}[cluster] pause: 2 s{clear}[cluster] built coredns in 3 s\n"
        f"{clear}[cluster] pause: 3 s{clear}"
    )


def test_without_a_job_nothing_is_shown() -> None:
    screen, clock = _Screen(terminal=False), _Clock()
    board = Board(lambda: screen, clock)
    with board.job("pause"):
        pass
    _minutes(board, clock, 120)
    assert screen.getvalue() == ""
