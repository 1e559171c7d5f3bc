# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Weights that are no numbers are refused when the model is loaded, or at the latest by its trial."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from families import FAMILIES, Family
from safetensors.torch import load_file, save_file

from zs_seg_ros.errors import ModelError
from zs_seg_ros.perception import live_model
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.segmenters.finite import check_finite, finite_outputs_required
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

NOT_LOADED = "tracker_model.memory_"
"""How weights of sam3_video begin that follow an object through a video, which is not done here."""


def rewrite_weights(folder: Path, change: Any) -> None:
    [file] = sorted(folder.rglob("*.safetensors"))[:1]
    weights = load_file(file)
    largest = max(
        (
            name
            for name in weights
            if weights[name].is_floating_point() and not name.startswith(NOT_LOADED)
        ),
        key=lambda n: weights[n].numel(),
    )
    weights[largest] = change(weights[largest])
    save_file(weights, file, metadata={"format": "pt"})


@pytest.mark.parametrize("value", [math.nan, math.inf, 3e38])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_weights_that_are_no_numbers_are_refused(
    family: Family, value: float, tmp_path: Path
) -> None:
    model = family.write(tmp_path)
    rewrite_weights(tmp_path, lambda weight: torch.full_like(weight, value))
    with pytest.raises(ModelError, match="damaged"):
        load_segmenter(model, LoadOptions(device="cpu"))


def test_weights_that_are_integers_are_refused_and_those_of_half_precision_load(
    tmp_path: Path,
) -> None:
    family = next(f for f in FAMILIES if f.name == "dense")
    model = family.write(tmp_path)
    rewrite_weights(tmp_path, lambda weight: weight.half())
    segmenter: Any = load_segmenter(model, LoadOptions(device="cpu", precision="fp32"))
    weights = [weight for weight in segmenter._network.parameters() if weight.is_floating_point()]
    assert {weight.dtype for weight in weights} == {torch.float32}
    rewrite_weights(tmp_path, lambda weight: weight.to(torch.int8))
    with pytest.raises(ModelError, match=r"cannot be loaded|has the type torch\.int8"):
        load_segmenter(model, LoadOptions(device="cpu"))


def test_outputs_that_are_no_numbers_keep_a_vocabulary_out_of_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = next(f for f in FAMILIES if f.name == "clipseg")
    segmenter: Any = load_segmenter(family.write(tmp_path), LoadOptions(device="cpu"))
    monkeypatch.setattr(live_model, "load_segmenter", lambda *_: segmenter)
    model = LiveModel(lambda: 0)
    first = Vocabulary().changed_to([TargetClass("red mug")])
    model.load("clipseg", LoadOptions(), first)
    decode = segmenter.network.decode
    monkeypatch.setattr(segmenter.network, "decode", lambda *a: decode(*a) * math.nan)
    with pytest.raises(ModelError, match="not finite"):
        model.change_vocabulary([TargetClass("blue ball")])
    assert model.vocabulary.names == ("red mug",)


def test_finite_outputs_are_required_in_a_trial_only() -> None:
    check_finite(torch.tensor([math.nan]))
    with finite_outputs_required():
        check_finite(torch.tensor([1.0, -math.inf]))
        for value in (math.nan, math.inf):
            with pytest.raises(ModelError, match="not finite"):
                check_finite(torch.tensor([value]))
