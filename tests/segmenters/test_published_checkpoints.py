# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Checkpoints in the layouts in which they are published, with the files of earlier releases of transformers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from edgetam_checkpoint import write_small_edgetam
from families import FAMILIES, Family
from inputs import blots, boxes_in, words
from local_hub import local_hub
from published_layout import (
    SOURCE,
    TIED,
    change_json,
    round_weights,
    save,
    to_published_layout,
    types_of,
)
from safetensors.torch import load_file
from transformers import GroundingDinoForObjectDetection, OmDetTurboForObjectDetection

from zs_seg_ros import load_segmenter
from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.boxes_then_masks.sam2 import EdgeTamBoxSegmenter, Sam2BoxSegmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.shared.published_config import local_config
from zs_seg_ros.segmenters.shared.timm_package import require_timm
from zs_seg_ros.testing.sam2 import small_sam2_video_config, write_sam2
from zs_seg_ros.types import Batch, Segmentation

CPU = LoadOptions(device="cpu", precision="fp32")
STAND_IN_TIMM = Path(__file__).parent / "stand_in_timm"


def test_no_family_makes_a_request_when_it_is_loaded(tmp_path: Path) -> None:
    here = Path(__file__).parent
    with local_hub({}) as hub:
        environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TRANSFORMERS_"))
        }
        environment |= {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home")}
        paths = [str(STAND_IN_TIMM), str(here), str(here.parent), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        (tmp_path / "models").mkdir()
        command = [sys.executable, here / "load_all_families.py", tmp_path / "models"]
        answer = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert answer.stdout == "loaded\n", answer.stderr
        assert hub.requests == []
        asks = "from huggingface_hub import HfApi; HfApi().repo_exists('some/model')"
        subprocess.run([sys.executable, "-c", asks], env=environment, check=True)
    assert hub.requests[-1] == "/api/models/some/model"


def labelled(model: str, family: Family) -> Segmentation:
    segmenter = load_segmenter(model, CPU)
    vocabulary = words(*family.names(3))
    thresholds = np.full(3, family.threshold, np.float32)
    [result] = segmenter.segment(Batch([blots()], thresholds), segmenter.encode(vocabulary))
    segmenter.close()
    return result


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_published_layout_gives_what_the_present_one_gives(
    family: Family, tmp_path: Path
) -> None:
    model = family.write(tmp_path)
    round_weights(tmp_path)
    expected = labelled(model, family)
    to_published_layout(tmp_path)
    if family.name != "dense":
        assert "BF16" in types_of(tmp_path) and "F32" not in types_of(tmp_path)
    actual = labelled(model, family)
    np.testing.assert_array_equal(actual.label, expected.label)
    assert len(np.unique(expected.label)) > 1


@pytest.mark.parametrize("kind", [Sam2BoxSegmenter, EdgeTamBoxSegmenter])
def test_positions_that_transformers_4_stored_once_are_used_in_both_places(
    kind: type[Sam2BoxSegmenter], tmp_path: Path
) -> None:
    if kind is EdgeTamBoxSegmenter:
        write_small_edgetam(tmp_path)
    else:
        write_sam2(tmp_path, small_sam2_video_config(), seed=3)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    tensors[TIED] = tensors[SOURCE].clone()  # the two are independent and random in a new model
    expected = written(tensors, tmp_path, kind)
    actual = written({n: t for n, t in tensors.items() if n != TIED}, tmp_path, kind)
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)
    del tensors[TIED], tensors[SOURCE]
    with pytest.raises(ModelError, match="2 weights are missing"):
        written(tensors, tmp_path, kind)


def written(
    tensors: dict[str, torch.Tensor], folder: Path, kind: type[Sam2BoxSegmenter]
) -> torch.Tensor:
    """Store weights, load the checkpoint and return the masks of some boxes."""
    save(folder / "model.safetensors", tensors)
    [masks] = kind("x", folder, CPU).masks([blots()], [boxes_in((48, 64))])
    return masks


def write_config(folder: Path, **settings: object) -> None:
    (folder / "config.json").write_text(json.dumps(settings))


def test_an_image_encoder_that_only_the_hub_describes_is_refused(tmp_path: Path) -> None:
    settings = {"backbone": "microsoft/swin-tiny", "use_timm_backbone": False}
    write_config(tmp_path, model_type="grounding-dino", **settings)
    with pytest.raises(
        ModelError, match=r"names the image encoder 'microsoft/swin-tiny' of the Hugging"
    ):
        local_config(GroundingDinoForObjectDetection, "some/model", tmp_path)


@pytest.mark.parametrize("name", ["hf-hub:some/model", "hf_hub:some/model", "local-dir:/etc"])
def test_an_image_encoder_that_timm_would_download_is_refused(name: str, tmp_path: Path) -> None:
    arguments = {"out_indices": [1, 2, 3]}
    write_config(tmp_path, model_type="omdet-turbo", backbone=name, backbone_kwargs=arguments)
    with pytest.raises(ModelError, match=f"'{name}', which timm would read from elsewhere"):
        local_config(OmDetTurboForObjectDetection, "some/model", tmp_path)


def test_the_names_beside_a_description_are_ignored(tmp_path: Path) -> None:
    swin = {"model_type": "swin", "embed_dim": 24}
    settings = {"backbone": None, "use_timm_backbone": False, "backbone_config": swin}
    write_config(tmp_path, model_type="grounding-dino", **settings)
    assert local_config(GroundingDinoForObjectDetection, "some/model", tmp_path) is None
    change_json(tmp_path / "config.json", lambda config: config.update(backbone="some/model"))
    config = local_config(GroundingDinoForObjectDetection, "some/model", tmp_path)
    assert config is not None and config.backbone_config.embed_dim == 24


def test_a_timm_that_fails_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "timm"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('operator nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        ModelError, match=r"cannot be imported \(.*nms does not exist.*--no-deps timm"
    ):
        require_timm("some/model")
    assert not [name for name in sys.modules if name.partition(".")[0] == "torchvision"]
