# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The decoding of instance masks, the last step of every family that detects instances."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from zs_seg_ros import Segmentation
from zs_seg_ros.segmenters.shared.instances import Instances, decode_instances, without_duplicates
from zs_seg_ros.testing.accelerator import Accelerator
from zs_seg_ros.vocabulary.class_ids import LabelIds

IDS = (7, 3, 254)


def rectangles(*objects: tuple[int, float, slice, slice], side: int = 8) -> Instances:
    """Instances as (class index, score, rows, columns) on a square of side x side."""
    masks = torch.full((len(objects), side, side), -1.0)
    for mask, (_, _, rows, columns) in zip(masks, objects, strict=True):
        mask[rows, columns] = 1.0
    return Instances(
        masks,
        torch.tensor([score for _, score, _, _ in objects]),
        torch.tensor([index for index, _, _, _ in objects], dtype=torch.int64),
    )


def decoded(instances: Instances, side: int = 8, threshold: float = 0.5) -> Segmentation:
    thresholds = np.full(3, threshold, np.float32)
    return decode_instances(instances, (side, side), thresholds, LabelIds.of(IDS))


def test_the_most_confident_object_has_the_pixel_and_both_keep_their_masks() -> None:
    result = decoded(
        rectangles((0, 0.6, slice(0, 4), slice(0, 8)), (2, 0.8, slice(2, 6), slice(0, 4)))
    )
    assert result.label[1, 1] == 7 and result.label[3, 1] == 254 and result.label[7, 7] == 0
    assert result.confidence[1, 1] == 153 and result.confidence[3, 1] == 204
    assert result.instances is not None
    assert [(detected.class_id, detected.area) for detected in result.instances] == [
        (254, 16),
        (7, 32),
    ]
    box = result.instances[0].box
    assert (box.left, box.top, box.width, box.height) == (0, 2, 4, 4)


def test_instances_below_the_threshold_of_their_class_and_empty_masks_are_dropped() -> None:
    everywhere = slice(0, 8)
    instances = rectangles(
        (0, 0.49, everywhere, everywhere),
        (1, 0.5, everywhere, everywhere),
        (2, 0.99, slice(0, 0), everywhere),
    )
    result = decoded(instances)
    assert result.instances is not None
    assert [detected.class_id for detected in result.instances] == [3]
    assert (result.label == 3).all()


def test_no_detections_are_an_empty_tuple_and_not_none() -> None:
    result = decoded(Instances(torch.zeros(0, 4, 4), torch.zeros(0), torch.zeros(0).long()))
    assert result.instances == () and not result.label.any() and not result.confidence.any()


def test_the_confidence_of_an_object_is_never_0() -> None:
    result = decoded(rectangles((0, 0.0, slice(0, 2), slice(0, 2))), threshold=0.0)
    assert (result.confidence > 0).tolist() == (result.label > 0).tolist()
    assert result.confidence.max() == 1


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 30), st.integers(1, 30))
def test_masks_are_resized_as_torch_does_it(seed: int, side: int, height: int, width: int) -> None:
    masks = torch.randn(2, side, side, generator=torch.Generator().manual_seed(seed))
    instances = Instances(masks, torch.tensor([0.9, 0.8]), torch.tensor([0, 1]))
    result = decode_instances(
        instances, (height, width), np.zeros(2, np.float32), LabelIds(IDS[:2], np.dtype(np.uint16))
    )
    full = functional.interpolate(masks[None], (height, width), mode="bilinear")[0]
    assert result.label.dtype == np.uint16
    expected = np.where(full[0] > 0, 7, np.where(full[1] > 0, 3, 0))
    clear = (full.abs() > 1e-4).all(dim=0).numpy()
    assert (result.label == expected)[clear].all()
    assert result.instances is not None
    for detected in result.instances:
        mask = detected.mask
        assert mask.any(axis=0)[[0, -1]].all() and mask.any(axis=1)[[0, -1]].all()


@pytest.mark.parametrize(
    ("classes", "prompts", "kept"),
    [
        ([0, 0], [0, 1], [1]),  # two phrases of a class detect one object
        ([0, 0], [0, 0], [0, 1]),  # the boxes of one phrase are kept as the model reports them
        ([0, 1], [0, 1], [0, 1]),  # classes are independent
    ],
)
def test_only_phrases_of_one_class_suppress_each_other(
    classes: list[int], prompts: list[int], kept: list[int]
) -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9]], np.float32)
    scores = np.array([0.6, 0.7], np.float32)
    assert without_duplicates(boxes, scores, classes, prompts) == kept


def test_boxes_with_little_overlap_are_no_duplicates() -> None:
    boxes = np.array([[0, 0, 10, 10], [6, 0, 16, 10], [0, 0, 0, 0]], np.float32)
    scores = np.array([0.6, 0.7, 0.1], np.float32)
    assert without_duplicates(boxes, scores, [0, 0, 0], [0, 1, 2]) == [0, 1, 2]


@pytest.mark.gpu
def test_gpu_and_cpu_agree() -> None:
    check_devices_agree((30, 40))


@pytest.mark.parametrize("size", [(30, 40), (31, 37), (1, 1), (5, 8)])
def test_masks_packed_on_the_accelerator_are_those_of_the_cpu(
    accelerator: Accelerator, size: tuple[int, int]
) -> None:
    """Rows of 40 and 8 pixels fill their bytes, those of 37 and 1 do not."""
    check_devices_agree(size)


def check_devices_agree(size: tuple[int, int]) -> None:
    """More masks than are resized at a time, two instances that share one, and an empty one."""
    masks = torch.randn(40, 12, 12, generator=torch.Generator().manual_seed(0))
    masks[7] = -1
    scores, classes = torch.linspace(0.2, 0.9, 41), torch.arange(41) % 3
    shared = torch.tensor([*range(40), 3])
    thresholds, ids = np.full(3, 0.3, np.float32), LabelIds.of(IDS)
    on_cpu, on_device = (
        decode_instances(Instances(m, scores, classes, 0.0, shared), size, thresholds, ids)
        for m in (masks, masks.to("cuda"))
    )
    assert (on_cpu.label == on_device.label).mean() > 0.99
    assert on_cpu.instances and on_device.instances
    assert len(on_cpu.instances) == len(on_device.instances)
    for one, other in zip(on_cpu.instances, on_device.instances, strict=True):
        assert (one.class_id, one.score) == (other.class_id, other.score)
        assert abs(one.area - other.area) <= max(2, 0.01 * one.area)
