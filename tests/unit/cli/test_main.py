"""The frame: global options, errors, exit codes, closed pipes, Ctrl-C, the names it is called by."""

import importlib.metadata
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import click
import pytest

import armonikctl
from armonik_sdk.cli import main as program
from armonik_sdk.cli.errors import Declined
from armonik_sdk.cli.exit_codes import ExitCode
from armonik_sdk.cli.frame.global_options import output_of_environment, settings_of
from armonik_sdk.cli.frame.settings import Settings

NOWHERE = """
apiVersion: v1
kind: Config
current-context: nowhere
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
clusters: [{name: nowhere, cluster: {server: 'http://127.0.0.1:9'}}]
users: [{name: nobody, user: {token: t}}]
"""


@pytest.fixture
def nowhere(tmp_path: Path) -> str:
    """A kubeconfig of a cluster that does not answer."""
    path = tmp_path / "kubeconfig"
    path.write_text(NOWHERE)
    return str(path)


def seen(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Settings:
    """The global options that `session get` gets."""
    found: list[Settings] = []
    monkeypatch.setattr(
        "armonik_sdk.cli.cluster.connected.connected", lambda settings, _: found.append(settings)
    )
    assert program.main([*arguments]) == 0
    return found[0]


def test_global_options_are_taken_before_the_command_and_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = seen(monkeypatch, "-n", "a", "-o", "json", "--request-timeout", "5s", "session", "get", "x")
    behind = seen(monkeypatch, "session", "get", "x", "-n", "a", "-o", "json", "--request-timeout", "5s")
    between = seen(monkeypatch, "-o", "json", "session", "-n", "a", "get", "--request-timeout=5s", "x")
    assert before == behind == between
    assert (before.namespace, before.form, before.request_timeout) == ("a", "json", 5.0)


def test_the_option_nearest_to_the_command_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARMONIK_NAMESPACE", "environment")
    assert seen(monkeypatch, "session", "get", "x").namespace == "environment"
    assert seen(monkeypatch, "-n", "far", "session", "get", "x").namespace == "far"
    assert seen(monkeypatch, "-n", "far", "session", "get", "x", "-n", "near").namespace == "near"


def test_the_form_of_the_environment_counts_unless_an_option_names_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ARMONIK_OUTPUT", "yaml")
    for given, form in ((Settings(), "yaml"), (Settings(output="json"), "json")):
        output_of_environment(given)
        assert given.form == form
    monkeypatch.setenv("ARMONIK_OUTPUT", "xml")
    with pytest.raises(click.UsageError, match="ARMONIK_OUTPUT is 'xml'"):
        output_of_environment(Settings())


def test_settings_are_made_where_a_command_is_run_without_the_program() -> None:
    ctx = click.Context(click.Command("x"))
    assert settings_of(ctx) is settings_of(ctx)


@pytest.mark.parametrize(
    ("color", "no_color", "expected"),
    [("auto", False, False), ("always", True, True), ("never", False, False)],
)
def test_colours_are_for_terminals_unless_asked_for(
    color: str, no_color: bool, expected: bool, tmp_path: Path
) -> None:
    with (tmp_path / "file").open("w") as file:
        assert Settings(color=color, no_color=no_color).coloured(file) is expected  # type: ignore[arg-type]


def test_wrong_usage_is_2_and_names_the_way_to_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["session", "list", "--phase", "Runing"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "'Runing' is none of Pending, Running" in err
    assert "Try `armonikctl session list --help`" in err


def test_a_command_alone_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([]) == 2
    assert "Exit codes:" in capsys.readouterr().err


def test_help_for_terminals_has_the_options_of_all_at_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--color", "always", "task", "results", "-h"]) == 0
    shown = capsys.readouterr().out
    own, shared = shown.index("─ Options ─"), shown.index("─ Options of every command ─")
    assert own < shown.index("--output-name") < shared < shown.index("--namespace")
    assert program.main(["--color", "always", "task"]) == 2
    shown = capsys.readouterr().err
    assert shown.index("─ Commands ─") < shown.index("─ Options of every command ─")


def test_a_cluster_that_does_not_answer_is_5_in_the_time_given(
    nowhere: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["session", "list", "--kubeconfig", nowhere, "--request-timeout", "1s"]) == 5
    assert "does not answer within 1 s" in capsys.readouterr().err


def test_a_question_without_a_terminal_is_not_guessed(
    nowhere: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert program.main(["session", "delete", "x", "--kubeconfig", nowhere]) == 2
    assert "repeat it with --yes" in capsys.readouterr().err


def test_a_mistake_of_ours_shows_its_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistake(*_: object) -> None:
        raise KeyError("mistake")

    monkeypatch.setattr("armonik_sdk.cli.cluster.connected.connected", mistake)
    with pytest.raises(KeyError):
        program.main(["session", "get", "x"])


def test_a_no_is_4(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def declined(*_: object) -> None:
        raise Declined("nothing was changed")

    monkeypatch.setattr("armonik_sdk.cli.cluster.connected.connected", declined)
    assert program.main(["session", "close", "x"]) == 4
    assert capsys.readouterr().err == "Error: nothing was changed\n"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/usr/bin/armonikctl", "armonikctl"),
        ("/usr/bin/kubectl-armonik", "kubectl armonik"),
        ("__main__.py", "armonikctl"),
    ],
)
def test_usage_lines_follow_the_name_it_was_called_by(path: str, name: str) -> None:
    assert program.program_name(path) == name


WRITES = """
import sys
from armonik_sdk.cli import main as program
def much(name, arguments):
    for _ in range(100_000):
        sys.stdout.write('{"a": 1}\\n')
    return 0
program._run = much
sys.exit(program.main(["x"]))
"""


def test_a_closed_pipe_ends_it_quietly() -> None:
    shell = f'{sys.executable} -c "$CODE" | head -1; echo ${{PIPESTATUS[0]}}'
    environ = {**os.environ, "CODE": WRITES}
    done = subprocess.run(["bash", "-c", shell], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == '{"a": 1}\n0\n'
    assert done.stderr == ""


WAITS = """
import asyncio, sys
from armonik_sdk.cli import main as program
from armonik_sdk.cli.frame import running
from armonik_sdk.cli.frame.settings import Settings
async def action():
    try:
        print("begun", flush=True)
        await asyncio.Event().wait()
    finally:
        print("given back", flush=True)
program._run = lambda *_: running.run(Settings(), action)
sys.exit(program.main(["x"]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_gives_back_what_it_holds_and_is_130(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WAITS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == ("given back\n", "Interrupted.\n", 130)


@pytest.mark.parametrize(
    ("package", "said"), [("armonik_sdk", ""), ("click", ""), ("kubernetes", "Interrupted.\n")]
)
def test_ctrl_c_while_it_imports_is_130_without_a_traceback(package: str, said: str, tmp_path: Path) -> None:
    (tmp_path / package).mkdir()
    blocks = "import threading\nprint('importing', flush=True)\nthreading.Event().wait()\n"
    (tmp_path / package / "__init__.py").write_text(blocks)
    process = subprocess.Popen(
        [sys.executable, "-c", "import armonikctl, sys; sys.exit(armonikctl.run())", "task", "list"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (err, process.returncode) == (said, 130)


def test_what_is_installed_begins_there() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "sdk/pyproject.toml").read_text())["project"]
    assert set(project["scripts"].values()) == {"armonikctl:run", "armonikctl:complete"}
    assert armonikctl.INTERRUPTED == ExitCode.INTERRUPTED


def test_the_version_of_the_client_needs_no_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["version", "--client", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["apiVersion"], found["kind"]) == ("cli.armonik.io/v1", "Version")
    assert found["client"]["version"] == importlib.metadata.version("armonik-k8s-sdk")
    assert "operator" not in found


@pytest.mark.parametrize(
    ("shell", "mark"), [("bash", "complete -o"), ("zsh", "compdef"), ("fish", "complete")]
)
def test_shells_get_a_script_for_completion(
    shell: str, mark: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert mark in out
    assert "_ARMONIKCTL_COMPLETE" in out


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("session stop", ["stop-submission"]),
        ("task list --phase comp", ["Completed"]),
        ("task list --phase completed,cr", ["completed,Creating"]),
        ("doctor --only apiserver,ki", ["apiserver,kinds"]),
        ("top par", ["partitions"]),
        ("explain par", ["partition/"]),
        ("explain nowhere/x", []),
    ],
)
def test_a_shell_gets_completions(
    typed: str,
    offered: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("_ARMONIKCTL_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"armonikctl {typed}")
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split())))
    assert program.main([]) == 0
    words = [line for line in capsys.readouterr().out.splitlines() if line]
    assert words == [f"plain,{word}" for word in offered]


def test_completion_without_a_kubeconfig_is_silent(tmp_path: Path) -> None:
    code = "import sys; from armonik_sdk.cli.main import complete; sys.exit(complete())"
    environ = {**os.environ, "KUBECONFIG": str(tmp_path / "none")}
    command = [sys.executable, "-c", code, "session", "get", ""]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (":4\n", "")
