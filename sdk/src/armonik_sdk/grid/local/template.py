"""The program of a local grid's template process: it imports the worker of functions and forks executors.

Arguments: the descriptor of its control socket, and the secret of the marks in its output, in hexadecimal.
"""

import socket
import sys

from armonik_sdk.worker.executor.forkserver import hold
from armonik_sdk.worker.functions import run
from armonik_sdk.worker.functions.output_tail import keep_tail


def main() -> None:
    """Fork executors until the grid is gone."""
    keep_tail()
    hold(run, socket.socket(fileno=int(sys.argv[1])), bytes.fromhex(sys.argv[2]))


if __name__ == "__main__":
    main()
