"""Fixtures of the tests that need ROS 2. `planner.py`, beside this file, has the tools."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
from rclpy.signals import SignalHandlerOptions

# Test modules are imported one by one, without a package around them.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session", autouse=True)
def ros() -> Iterator[None]:
    """One context for all tests, in the domain that tests/conftest.py reserved."""
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    yield
    rclpy.try_shutdown()
