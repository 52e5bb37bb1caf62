"""Tests of the developer's tools, on a machine that has exactly the programs a test gives it."""

import sys
from pathlib import Path

# Tests are imported by path, not as packages; helpers beside them are found here.
sys.path.insert(0, str(Path(__file__).parent))

from stubs import machine, offline

__all__ = ["machine", "offline"]
