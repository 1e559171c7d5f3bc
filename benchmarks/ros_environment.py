# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The environment of a benchmark's processes."""

from __future__ import annotations

import os
from pathlib import Path

from zs_seg_ros.ros.own_domain import own_domain_variables

_PROFILE = Path(__file__).parents[1] / "config" / "fastdds_large_images.xml"
_PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


def ros_environment(profile: bool = True) -> dict[str, str]:
    """Return variables for a DDS domain of this process's own, on this machine only; profile: for large images."""
    environment = {k: v for k, v in os.environ.items() if k not in _PROFILE_VARIABLES}
    environment |= own_domain_variables()
    if profile:
        environment |= dict.fromkeys(_PROFILE_VARIABLES, str(_PROFILE))
    return environment
