"""Settings of all tests of `replay_test`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Test modules are imported one by one, without a package around them.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def own_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the logs of nodes to the test's own folder."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
