"""A tenth of the attack suite; `make attacks` runs all of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_a_tenth_of_the_attacks_finds_nothing() -> None:
    command = [sys.executable, str(Path(__file__).with_name("run.py")), "--quick"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr[-2000:]
    assert "inputs tried: " in run.stdout
