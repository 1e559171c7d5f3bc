"""Settings of all tests.

`bag_messages`, `browser`, `small_bags` and `studio_clients`, beside this file, are for tests of several folders.
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
