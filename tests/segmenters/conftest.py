# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Lets the tests import `families`, which lies beside them, gives torch one thread, and has the stand-in accelerator.

Networks as small as the tests' are many times slower with two threads, as soon as something else runs.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from zs_seg_ros.segmenters.shared import device
from zs_seg_ros.segmenters.shared.processor import Processor
from zs_seg_ros.testing.accelerator import Accelerator, stand_in_accelerator

sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)


_no_gpu = pytest.mark.skip("there is no GPU here that torch can use")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests of the mark gpu where there is none; `make gpu` runs these alone."""
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(_no_gpu)


@pytest.fixture(scope="session", autouse=True)
def no_bf16() -> Iterator[None]:
    """Let `precision: auto` be fp32 on every processor, since the tests compare numbers of fp32 with its results."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "this_processor", lambda: Processor("chip", frozenset()))
        yield


@pytest.fixture
def accelerator() -> Iterator[Accelerator]:
    """Make the device cuda a stand-in for the test, which counts what crosses between it and the CPU."""
    with stand_in_accelerator() as stand_in:
        yield stand_in


@pytest.fixture
def three_threads() -> Iterator[None]:
    """Give torch three threads for the test."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)
