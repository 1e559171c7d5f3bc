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

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Test modules are imported one by one, without a package around them.
sys.path.insert(0, str(Path(__file__).parent))

from browser import opened_browser

from zs_seg_ros.kernels import NOT_BUILT, VARIABLE, Kernels, compiled_kernels, load_kernels
from zs_seg_ros.ros.own_domain import use_own_domain

use_own_domain()

# A shell that starts the tests in the background ignores ctrl-C for them, and so would every process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Machines that run tests are busy: no test says how long something may take. Every run has the same examples, so that
# one that fails is of the change; `--hypothesis-profile=random` looks for new ones.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("random", PATIENT)
settings.register_profile("patient", PATIENT, derandomize=True)
settings.load_profile("patient")


@pytest.fixture(scope="module", params=["compiled", "Python"])
def with_and_without_kernels(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run the tests of a module with the compiled functions, if they are built, and with Python instead of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "" if request.param == "compiled" else "off")
        load_kernels.cache_clear()
        if request.param == "compiled" and load_kernels() == NOT_BUILT:
            pytest.skip("the functions of src/ are not built")
        yield
    load_kernels.cache_clear()


@pytest.fixture(scope="module")
def compiled() -> Kernels:
    """The compiled functions, for modules that never turn them off."""
    found = compiled_kernels()
    return found or pytest.skip("the functions of src/ are not built")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The system's Chromium, opened once for the tests of a module."""
    with opened_browser() as opened:
        yield opened
