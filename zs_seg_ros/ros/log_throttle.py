# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""How often a message that can repeat with every frame is logged."""

from rclpy.clock import Clock, ClockType

# By the steady clock: rclpy's default, the system clock, would keep silent for an hour after being set back by one.
THROTTLED = {
    "throttle_duration_sec": 5.0,
    "throttle_time_source_type": Clock(clock_type=ClockType.STEADY_TIME),
}
"""Keyword arguments of a logger's methods: at most one line in five seconds from one place in the code."""
