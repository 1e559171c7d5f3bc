"""The environment of a benchmark's processes."""

from __future__ import annotations

import os
from pathlib import Path

_PROFILE = Path(__file__).parents[1] / "config" / "fastdds_large_images.xml"
_PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


def ros_environment(profile: bool = True) -> dict[str, str]:
    """Return variables for a DDS domain of this process's own, on this machine only; profile: for large images."""
    environment = {k: v for k, v in os.environ.items() if k not in _PROFILE_VARIABLES}
    environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    environment["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    if profile:
        environment |= dict.fromkeys(_PROFILE_VARIABLES, str(_PROFILE))
    return environment
