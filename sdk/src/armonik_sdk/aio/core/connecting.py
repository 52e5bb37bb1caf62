"""Which grid to connect to."""

import os
from pathlib import Path
from typing import Final

from armonik_sdk.aio.core.client import ClientCore
from armonik_sdk.grid.local.engine import LocalEngine
from armonik_sdk.grid.protocol import Grid

GRID: Final = "ARMONIK_GRID"
"""Environment variable: `local`, `local:4` with the number of workers, or `local:inline` for a debugger."""
LOCAL: Final = "local"
INLINE: Final = "inline"


async def open_core(
    namespace: str | None = None, kubeconfig: str | Path | None = None, context: str | None = None
) -> ClientCore:
    """Connect to the grid that the arguments, or else the environment, name."""
    return ClientCore(await _grid(namespace, kubeconfig, context))


async def _grid(namespace: str | None, kubeconfig: str | Path | None, context: str | None) -> Grid:
    chosen = namespace if namespace == LOCAL else os.environ.get(GRID, "")
    kind, _, workers = chosen.partition(":")
    if kind == LOCAL:
        if workers == INLINE:
            return LocalEngine(inline=True)
        return LocalEngine(int(workers) if workers else None)
    if chosen and namespace is None:
        raise ValueError(f"{GRID}: local, local:<workers> or local:inline, not {chosen!r}")
    from armonik_sdk.grid.cluster.engine import ClusterGrid

    file = None if kubeconfig is None else str(kubeconfig)
    return await ClusterGrid.connect(namespace, kubeconfig=file, context=context)
