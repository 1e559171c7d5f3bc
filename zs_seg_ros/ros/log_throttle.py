"""How often a message that can repeat with every frame is logged."""

from rclpy.clock import Clock, ClockType

# By the steady clock: rclpy's default, the system clock, would keep silent for an hour after being set back by one.
THROTTLED = {
    "throttle_duration_sec": 5.0,
    "throttle_time_source_type": Clock(clock_type=ClockType.STEADY_TIME),
}
"""Keyword arguments of a logger's methods: at most one line in five seconds from one place in the code."""
