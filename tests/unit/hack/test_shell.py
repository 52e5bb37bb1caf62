"""Running programs."""

from pathlib import Path

import pytest
from hack.cluster.shell import ClusterError, run


def test_the_folder_of_a_log_is_made(tmp_path: Path) -> None:
    """The first program that a cold cache needs is not always built by who made the folder."""
    log = tmp_path / "logs" / "program.log"
    run("echo", "built", log=log)
    assert log.read_text() == "built\n"


def test_a_program_that_is_missing_is_named() -> None:
    with pytest.raises(ClusterError, match="no-such-program is not installed"):
        run("no-such-program")
