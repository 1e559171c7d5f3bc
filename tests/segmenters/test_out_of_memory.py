# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A GPU that is out of memory drops frames and the worker goes on. The tests raise torch's error on a CPU."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from families import WORDS, write_small_clipseg

from zs_seg_ros.errors import ModelError
from zs_seg_ros.perception.frame_slots import FrameSlots
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.perception.worker import Worker
from zs_seg_ros.segmenters.clipseg.segmenter import ClipSegSegmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.types import Frame, Scene
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary


@pytest.fixture
def model(tmp_path: Path) -> LiveModel:
    model = LiveModel(now_ns=lambda: 0)
    first = Vocabulary().changed_to([TargetClass(WORDS[0])])
    model.load(write_small_clipseg(tmp_path), LoadOptions(device="cpu"), first)
    return model


class Memory:
    """A memory that, while it is full, makes the image encoder raise, with tensors in the frames of the traceback."""

    def __init__(self, model: LiveModel, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = True
        self.tensors: list[weakref.ref[torch.Tensor]] = []
        segmenter = model.segmenter
        assert isinstance(segmenter, ClipSegSegmenter)
        encode = segmenter.network.encode_images_further

        def encode_images(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            large = torch.zeros(1000)
            self.tensors.append(weakref.ref(large))
            if self.full:
                raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")
            return encode(pixels)

        monkeypatch.setattr(segmenter.network, "encode_images_further", encode_images)


def test_the_frame_is_dropped_and_the_next_one_is_processed(
    model: LiveModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory(model, monkeypatch)
    scenes: list[Scene] = []
    errors: list[Exception] = []
    slots = FrameSlots(["camera"])

    def put() -> None:
        slots.put(Frame("camera", np.zeros((20, 30, 3), np.uint8)))

    def on_error(error: Exception, _: object) -> None:
        errors.append(error)
        memory.full = False
        put()

    def on_scene(scene: Scene) -> None:
        scenes.append(scene)
        slots.close()

    put()
    worker = Worker(model, slots, on_scene, on_error)
    worker.start()
    worker._threads[-1].join(20)
    [error] = errors
    assert isinstance(error, ModelError) and "\n" not in str(error)
    assert "out of memory" in str(error) and "fewer classes" in str(error)
    gc.collect()
    assert memory.tensors[0]() is None, "the error still holds the tensors of the frame"
    assert len(scenes) == 1


def test_a_vocabulary_that_exceeds_the_memory_leaves_the_old_one_in_force(
    model: LiveModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory(model, monkeypatch)
    with pytest.raises(ModelError, match="out of memory"):
        model.change_vocabulary([TargetClass(word) for word in WORDS])
    assert model.vocabulary.names == WORDS[:1]
    memory.full = False
    model.change_vocabulary([TargetClass(word) for word in WORDS])
    assert model.vocabulary.names == WORDS
