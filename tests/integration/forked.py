"""Programs as processes that begin with everything imported, forked from a server that did it once.

Importing the operator takes more than a second of CPU time, and more than a hundred tests start one. What it
does then is its `main`, in a process of its own that ends, freezes and dies as ever. The programs of
`function_grid` start anew.
"""

import os
import signal
import sys
from collections.abc import Mapping
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from kubernetes.aio.config import kube_config

_FORK = get_context("forkserver")
_FORK.set_forkserver_preload(["armonik_operator.__main__"])


class Forked:
    """The `main` of a module, running."""

    def __init__(self, module: str, environ: Mapping[str, str], log: Path) -> None:
        """Start it.

        Args:
            module: whose `main()` returns the exit code.
            environ: all of its environment.
            log: file to which it adds its standard output and error.
        """
        self._process: BaseProcess = _FORK.Process(target=_run, args=(module, dict(environ), str(log)))
        self._process.start()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self._process.exitcode is None:
            os.kill(self._process.pid or 0, number)

    def wait(self, seconds: float) -> int:
        """Its exit code.

        Raises:
            TimeoutError: it has not ended by then, and is killed, for the end of this process waits for it.
        """
        self._process.join(seconds)
        if self._process.exitcode is None:
            self._process.kill()
            raise TimeoutError(f"process {self._process.pid} has not ended after {seconds} s")
        return self._process.exitcode


def _run(module: str, environ: dict[str, str], log: str) -> None:
    os.environ.clear()
    os.environ.update(environ)
    kube_config.KUBE_CONFIG_DEFAULT_LOCATION = environ["KUBECONFIG"]  # was read at the import
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)
    sys.exit(import_module(module).main())
