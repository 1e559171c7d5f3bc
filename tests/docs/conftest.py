"""Fixtures of the tests of the documentation; the node and its planner come from tests/ros."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "ros")]


@pytest.fixture(scope="module")
def ros() -> Iterator[None]:
    """A context for the tests of one module, unless tests/ros have theirs already."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    if rclpy.ok():
        yield
        return
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    yield
    rclpy.shutdown()
