# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Threads of one core each: the images of a batch, or the prompts of an image, in parallel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.shared.one_core_threads import OneCoreThreads
from zs_seg_ros.types import Batch
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary


def torch_threads(_: object = None) -> int:
    torch.ones(2).sum()
    return torch.get_num_threads()


@pytest.mark.usefixtures("three_threads")
def test_its_threads_use_one_core_and_other_threads_as_many_as_before() -> None:
    both_started = threading.Barrier(2)

    def threads_of_both(_: int) -> int:
        both_started.wait(10)
        return torch_threads()

    assert OneCoreThreads(2).map(threads_of_both, range(2)) == [1, 1]
    assert torch_threads() == 3
    in_later_thread: list[int] = []
    later = threading.Thread(target=lambda: in_later_thread.append(torch_threads()))
    later.start()
    later.join()
    assert in_later_thread == [3]


@pytest.mark.parametrize(("items", "served"), [(0, 0), (1, 0), (2, 2), (3, 2), (5, 4)])
def test_all_threads_get_equally_many_of_the_items(items: int, served: int) -> None:
    assert OneCoreThreads(2).map(str, range(items)) == [str(i) for i in range(served)]


def test_an_error_is_raised_after_all_items_have_ended() -> None:
    done: list[int] = []

    def process(item: int) -> None:
        if item == 0:
            raise MemoryError("too large")
        threading.Event().wait(0.1)
        done.append(item)

    one_core_threads = OneCoreThreads(2)
    with pytest.raises(MemoryError, match="too large"):
        one_core_threads.map(process, range(4))
    assert sorted(done) == [1, 2, 3]
    assert one_core_threads.map(str, range(2)) == ["0", "1"]


def test_no_call_waits_for_one_that_hangs() -> None:
    one_core_threads, started, resume = OneCoreThreads(2), threading.Event(), threading.Event()

    def hang(_: int) -> None:
        started.set()
        resume.wait(20)

    hanging = threading.Thread(target=one_core_threads.map, args=(hang, range(2)))
    hanging.start()
    started.wait(20)
    assert one_core_threads.map(str, range(2)) == []
    resume.set()
    hanging.join(20)
    assert one_core_threads.map(str, range(2)) == ["0", "1"]


@pytest.mark.usefixtures("three_threads")
def test_only_a_model_that_is_not_compiled_uses_per_image_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A compiled model would be compiled once more for each of the threads."""
    monkeypatch.setattr(torch, "compile", lambda network, **_: network)  # it is never called here
    assert load_segmenter("tabletop", LoadOptions("cpu"))._per_image_threads is not None  # type: ignore[attr-defined]
    compiled = load_segmenter("tabletop", LoadOptions("cpu", compile=True))
    assert compiled._per_image_threads is None  # type: ignore[attr-defined]


@pytest.mark.usefixtures("three_threads")
def test_a_batch_that_does_not_fill_the_threads_is_segmented_completely_and_in_order() -> None:
    segmenter = load_segmenter("tabletop", LoadOptions("cpu"))
    encoded = segmenter.encode(Vocabulary().changed_to([TargetClass("red mug")]))
    rng = np.random.default_rng(0)
    images = tuple(rng.integers(0, 256, (40 + i, 60, 3), np.uint8) for i in range(5))
    segmentations = segmenter.segment(Batch(images, np.full(1, 0.5, np.float32)), encoded)
    assert [result.label.shape for result in segmentations] == [image.shape[:2] for image in images]


CHOICES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def spin_count(**environment: str) -> str:
    """What gcc's OpenMP shows, once a model's code has imported torch."""
    program = "from zs_seg_ros import load_segmenter; load_segmenter('tabletop')"
    inherited = {name: value for name, value in os.environ.items() if name not in CHOICES}
    shown = subprocess.run(
        [sys.executable, "-c", program],
        env=inherited | {"OMP_DISPLAY_ENV": "verbose"} | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    found = re.search(r"GOMP_SPINCOUNT = '(\w+)'", shown)
    return found[1] if found else pytest.skip("torch has no OpenMP of gcc here")


def test_threads_of_torch_wait_in_a_loop_for_a_short_time_unless_the_user_chose_how_they_wait() -> (
    None
):
    assert spin_count() == "10000"
    assert spin_count(GOMP_SPINCOUNT="77") == "77"
    assert spin_count(OMP_WAIT_POLICY="passive") == "0"
