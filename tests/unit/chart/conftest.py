"""Rendering the chart with the real Helm; no cluster is asked."""

import sys
from pathlib import Path

# Tests are imported by path, not as packages; helpers beside them are found here.
sys.path.insert(0, str(Path(__file__).parent))

from rendering import helm

__all__ = ["helm"]
