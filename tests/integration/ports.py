"""Ports of loopback for the tests' servers, which no other server or connection takes meanwhile.

A port is looked for some time before its server listens on it, so looking is not enough: each of the
processes that run tests beside each other has ports of its own, none is given out twice in a row, and all
lie below those that the kernel gives to connections (from 32768 up).
"""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

FIRST, EACH, PROCESSES = 10_000, 2_500, 8


def _numbers() -> Iterator[int]:
    """The ports of this process, round and round from a random one."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PROCESSES
    start = secrets.randbelow(EACH)
    return (FIRST + worker * EACH + (start + offset) % EACH for offset in count())


_ports = _numbers()


def free_port() -> int:
    """A port that is free now."""
    for port in _ports:
        with socket.socket() as probe, suppress(OSError):  # taken: try the next
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("the ports never end")


def free_ports(number: int) -> list[int]:
    """As many ports, all different."""
    return [free_port() for _ in range(number)]
