"""Puts this folder on sys.path: test modules are imported one by one, and import helpers from beside this file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
