"""Lets tests import the modules of this folder, after all others: some have common names."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
