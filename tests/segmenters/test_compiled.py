# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Compiled parts of a model that several threads call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from families import FAMILIES, Family
from inputs import blots, words

from zs_seg_ros import LoadOptions, load_segmenter
from zs_seg_ros.segmenters.shared.compiled import Compiled
from zs_seg_ros.types import Batch


@pytest.fixture
def without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions that torch would compile are called unchanged."""

    def unchanged(function: Callable[..., Any], **_: object) -> Callable[..., Any]:
        return function

    monkeypatch.setattr(torch, "compile", unchanged)


def test_calls_of_several_threads_run_one_at_a_time(without_compiler: None) -> None:
    inside = threading.Semaphore(1)

    def work(number: int) -> int:
        assert inside.acquire(blocking=False), "another call is running"
        threading.Event().wait(0.01)
        inside.release()
        return number

    compiled = Compiled(work)
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(compiled, range(12))) == list(range(12))


def test_a_call_that_fails_leaves_the_others_their_turn(without_compiler: None) -> None:
    def work(number: int) -> int:
        return 1 // number

    compiled = Compiled(work)
    with pytest.raises(ZeroDivisionError):
        compiled(0)
    assert compiled(1) == 1


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_worker_trial_and_service_share_a_model(
    family: Family, tmp_path: Path, without_compiler: None
) -> None:
    """Each thread gets what it would get alone, while others encode and segment with words of their own."""
    segmenter = load_segmenter(family.write(tmp_path), LoadOptions("cpu", "fp32", compile=True))
    names = family.names(3)
    vocabularies = [words(*names), words(*names[:1]), words(*names[1:])]

    def segment(index: int) -> Any:
        vocabulary = vocabularies[index]
        batch = Batch((blots(48, 64, index),), vocabulary.thresholds(family.threshold))
        return segmenter.segment(batch, segmenter.encode(vocabulary))[0]

    alone = [segment(index) for index in range(3)]
    start = threading.Barrier(3)

    def together(index: int) -> Any:
        torch.set_num_threads(1)
        start.wait()
        return segment(index)

    with ThreadPoolExecutor(3) as threads:
        for expected, result in zip(alone, threads.map(together, range(3)), strict=True):
            assert np.array_equal(result.label, expected.label)
            assert np.array_equal(result.confidence, expected.confidence)
