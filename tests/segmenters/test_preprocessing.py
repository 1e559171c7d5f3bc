# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Preprocessor files: followed as by transformers' own processors, or refused with the key and its value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from inputs import blots, noise
from PIL import Image
from transformers.image_processing_utils import BaseImageProcessor
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil
from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.boxes_then_masks import owlv2, sam2
from zs_seg_ros.segmenters.boxes_then_masks.detr_images import DetrFormat, load_detr_format
from zs_seg_ros.segmenters.boxes_then_masks.owlv2_images import prepare_square
from zs_seg_ros.segmenters.sam3 import segmenter as sam3
from zs_seg_ros.segmenters.shared.image_tensors import prepare
from zs_seg_ros.segmenters.shared.pretrained import ImageFormat, load_image_format
from zs_seg_ros.segmenters.tipsv2 import segmenter as tipsv2

SIDE = 48
DEFAULT = ImageFormat((1, 1), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
READERS: dict[str, type[BaseImageProcessor]] = {
    "clipseg": ViTImageProcessorPil,
    "segformer": SegformerImageProcessorPil,
    "sam2": sam2._Images,
    "sam3": sam3._Images,
    "tipsv2": tipsv2.Tipsv2ImageProcessor,
}
ARITHMETIC: dict[str, dict[str, Any]] = {
    "all defaults": {},
    "bilinear": {"resample": 2},
    "bicubic": {"resample": 3},
    "not normalised": {"do_normalize": False},
    "not rescaled": {
        "do_rescale": False,
        "image_mean": [120.0, 110.0, 100.0],
        "image_std": [50.0, 55.0, 60.0],
    },
    "to -1..1": {
        "rescale_factor": 1 / 127.5,
        "image_mean": [1.0, 1.0, 1.0],
        "image_std": [1.0, 1.0, 1.0],
    },
    "neither": {"do_rescale": False, "do_normalize": False},
    "rescaled with null": {"do_rescale": None},
    "with means of its own": {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.3, 0.2, 0.1]},
    "padded to the size that it has": {"do_pad": True, "pad_size": {"height": SIDE, "width": SIDE}},
}
RESCALED = {name: kept for name, kept in ARITHMETIC.items() if kept.get("do_rescale", True)}


def write(folder: Path, **settings: object) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


def pixels(processor: BaseImageProcessor, image: Image.Image) -> torch.Tensor:
    values = processor(image, return_tensors="pt")["pixel_values"]
    return torch.as_tensor(np.asarray(values)).float()


def check_equal(actual: torch.Tensor, image: np.ndarray, processor: BaseImageProcessor) -> None:
    """Compare with transformers' pixels, to within one grey level, bicubic two: Pillow rounds between its passes."""
    expected = pixels(processor, Image.fromarray(image))
    white, black = (pixels(processor, Image.new("RGB", (60, 60), c)) for c in ("white", "black"))
    level = (white - black).amax(dim=(0, 2, 3))[:, None, None] / 255
    assert actual.shape == expected.shape and actual.std() > 10 * level.min()
    most = 2.01 if processor.resample == 3 else 1.01
    assert float(((actual - expected).abs() / level).max()) <= most


@pytest.mark.parametrize("image", [noise(37, 90), blots(100, 60)], ids=["noise", "blots"])
@pytest.mark.parametrize("settings", ARITHMETIC.values(), ids=ARITHMETIC)
@pytest.mark.parametrize("reader", [ViTImageProcessorPil, SegformerImageProcessorPil])
def test_the_arithmetic_equals_that_of_transformers(
    reader: type[BaseImageProcessor], settings: dict[str, Any], image: np.ndarray, tmp_path: Path
) -> None:
    write(tmp_path, **{"size": {"height": SIDE, "width": SIDE}, **settings})
    read = load_image_format(reader, "some/model", tmp_path, DEFAULT)
    mean, std = torch.tensor(read.mean), torch.tensor(read.std)
    actual = prepare([image], read.size, mean, std, resample=read.resample)
    check_equal(actual, image, reader.from_pretrained(tmp_path))


@pytest.mark.parametrize("settings", ARITHMETIC.values(), ids=ARITHMETIC)
def test_the_arithmetic_of_detectors_equals_that_of_transformers(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    if "pad_size" in settings:
        settings = {"do_pad": True}
    write(tmp_path, **{"size": {"shortest_edge": 40, "longest_edge": 70}, **settings})
    read = load_detr_format(DetrImageProcessorPil, "some/model", tmp_path, DetrFormat((1, 1)))
    image = blots(60, 100)
    actual = read.prepare([image], read.size_of(image), torch.device("cpu"), torch.float32)
    check_equal(actual, image, DetrImageProcessorPil.from_pretrained(tmp_path))


@pytest.mark.parametrize("settings", RESCALED.values(), ids=RESCALED)
def test_the_arithmetic_of_owlv2_equals_that_of_transformers(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    write(tmp_path, **{"size": {"height": SIDE, "width": SIDE}, **settings})
    read = load_image_format(owlv2._Images, "some/model", tmp_path, DEFAULT)
    image = blots(60, 100)
    mean, std = torch.tensor(read.mean), torch.tensor(read.std)
    actual = prepare_square([image], SIDE, mean, std, torch.float32)
    check_equal(actual, image, Owlv2ImageProcessorPil.from_pretrained(tmp_path))


def test_keys_that_are_missing_have_the_values_of_the_familys_own_processor(tmp_path: Path) -> None:
    write(tmp_path, do_resize=True)
    formats = {n: load_image_format(kind, "x", tmp_path, DEFAULT) for n, kind in READERS.items()}
    assert {name: read.size[0] for name, read in formats.items()} == {
        "clipseg": 224,
        "segformer": 512,
        "sam2": 1024,
        "sam3": 1008,
        "tipsv2": 448,
    }
    assert formats["sam2"].mean == pytest.approx((0.485, 0.456, 0.406))
    assert formats["sam3"].mean == formats["sam3"].std == pytest.approx((0.5, 0.5, 0.5))
    assert formats["tipsv2"].mean == (0, 0, 0) and formats["tipsv2"].std == pytest.approx((1, 1, 1))


NORMAL = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
SQUARE = {"height": SIDE, "width": SIDE}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nearest": ({"resample": 0}, "resample to 0"),
    "lanczos": ({"resample": 1}, "resample to 1"),
    "not resized": ({"do_resize": False}, "do_resize to False"),
    "cropped": ({"do_center_crop": True, "crop_size": SQUARE}, "do_center_crop to True"),
    "shortest edge": ({"size": {"shortest_edge": 40}}, r"size to \{'shortest_edge': 40\}"),
    "padded": ({"do_pad": True, "pad_size": {"height": 64, "width": 64}}, "pad_size to .*64"),
    "negative": ({"rescale_factor": -1.0}, "rescale_factor to -1.0"),
    "zero": ({"image_std": [0.5, 0.0, 0.5]}, r"image_std to \[0.5, 0.0, 0.5\]"),
}


@pytest.mark.parametrize(("settings", "reason"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("family", READERS)
def test_what_is_not_followed_is_refused_by_its_name(
    family: str, settings: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    write(tmp_path, **{"size": SQUARE, "do_normalize": True, **NORMAL, **settings})
    with pytest.raises(ModelError, match=f"preprocessor file of some/model in .* sets {reason}"):
        load_image_format(READERS[family], "some/model", tmp_path, DEFAULT)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"size": {"shortest_edge": 40}}, "size to"),
        ({"size": {"max_height": 40, "max_width": 60}}, "size to"),
        ({"do_pad": True, "pad_size": SQUARE}, "pad_size to"),
        ({"do_center_crop": True}, "do_center_crop to True"),
        ({"do_resize": False}, "do_resize to False"),
    ],
)
def test_what_detectors_do_not_follow_is_refused_by_its_name(
    settings: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    write(tmp_path, **{"size": {"shortest_edge": 40, "longest_edge": 70}, **settings})
    with pytest.raises(ModelError, match=f"preprocessor file of some/model in .* sets {reason}"):
        load_detr_format(DetrImageProcessorPil, "some/model", tmp_path, DetrFormat((1, 1)))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"do_pad": False}, "do_pad to False"),
        ({"pad_size": {"height": 99, "width": 99}}, "pad_size to"),
        ({"size": SQUARE}, "size to"),
    ],
)
def test_padding_other_than_that_of_sam_is_refused(
    settings: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    write(tmp_path, size={"longest_edge": SIDE}, pad_size=SQUARE)
    assert load_image_format(SamImageProcessorPil, "x", tmp_path, DEFAULT).size == (SIDE, SIDE)
    write(tmp_path, **{"size": {"longest_edge": SIDE}, "pad_size": SQUARE, **settings})
    with pytest.raises(ModelError, match=f"sets {reason}"):
        load_image_format(SamImageProcessorPil, "some/model", tmp_path, DEFAULT)


@pytest.mark.parametrize("key", ["do_pad", "do_rescale"])
def test_owlv2_without_padding_or_rescaling_is_refused(key: str, tmp_path: Path) -> None:
    """Without rescaling transformers' own processor truncates the pixels of OWLv2 to whole numbers."""
    write(tmp_path, **{"size": SQUARE, key: False})
    with pytest.raises(ModelError, match=f"sets {key} to False"):
        load_image_format(owlv2._Images, "some/model", tmp_path, DEFAULT)
