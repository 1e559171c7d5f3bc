# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Settings of all tests.

`bag_messages`, `browser`, `small_bags`, `studio_clients` and `video_bags`, beside this file, are for tests of several
folders.
"""

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

# Test modules are imported one by one, without a package around them.
sys.path.insert(0, str(Path(__file__).parent))

from own_domain import use_own_domain

use_own_domain()

# Machines that run tests are busy: no test says how long something may take.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
