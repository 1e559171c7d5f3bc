"""Tests of `zs-seg doctor`: conditions of a machine are simulated by the functions that read it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
