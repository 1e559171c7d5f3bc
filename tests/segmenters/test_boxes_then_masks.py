# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A pair of detector and mask model: its segmentation for given boxes, and how a pair is loaded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from inputs import noise
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPTokenizer, Owlv2ForObjectDetection, Owlv2Processor, SamHQModel
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil
from transformers.models.sam_hq.processing_sam_hq import SamHQProcessor

from zs_seg_ros.errors import ModelError, ModelNotFoundError
from zs_seg_ros.segmenters.boxes_then_masks.boxes import Boxes, BoxSegmenter, Detector
from zs_seg_ros.segmenters.boxes_then_masks.segmenter import BoxesThenMasks
from zs_seg_ros.segmenters.families import BOX_SEGMENTERS, DETECTORS
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.testing.owlv2 import small_owlv2_config, write_owlv2
from zs_seg_ros.testing.sam_hq import small_sam_hq_config, write_sam_hq
from zs_seg_ros.types import Batch, Box, RgbImage, Segmentation
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

CPU = LoadOptions(device="cpu")
SIZE = (48, 64)
PHOTO = noise(*SIZE)

Detection = tuple[float, str, tuple[float, float, float, float]]
"""A score, a phrase, and left, top, right, bottom."""


class GivenBoxes(Detector[tuple[str, ...]]):
    """A detector that returns given boxes, those that reach the threshold of their phrase."""

    model, device = "given boxes", "cpu"

    def __init__(self, *detections: Detection) -> None:
        self.detections = detections

    def encode(self, prompts: Sequence[str]) -> tuple[str, ...]:
        return tuple(prompts)

    def detect(
        self,
        images: Sequence[RgbImage],
        encoded: tuple[str, ...],
        thresholds: NDArray[np.float32],
    ) -> list[Boxes]:
        detected = [
            (corners, score, index)
            for score, prompt, corners in self.detections
            for index, encoded_prompt in enumerate(encoded)
            if prompt == encoded_prompt and score >= thresholds[index]
        ]
        boxes = Boxes(
            torch.tensor([corners for corners, _, _ in detected]).view(-1, 4),
            torch.tensor([score for _, score, _ in detected]),
            torch.tensor([index for _, _, index in detected], dtype=torch.int64),
        )
        return [boxes] * len(images)


class FilledBoxes(BoxSegmenter):
    """A mask model whose masks fill the boxes."""

    model = "filled boxes"

    def masks(self, images: Sequence[RgbImage], boxes: Sequence[Tensor]) -> list[Tensor]:
        results = []
        self.count = sum(len(corners) for corners in boxes)
        for image, corners in zip(images, boxes, strict=True):
            masks = torch.full((len(corners), *image.shape[:2]), -1.0)
            for mask, (left, top, right, bottom) in zip(masks, corners.round().int(), strict=True):
                mask[top:bottom, left:right] = 1
            results.append(masks)
        return results


def segment(
    *detections: Detection, classes: Sequence[TargetClass | str], threshold: float = 0.5
) -> Segmentation:
    vocabulary = Vocabulary().changed_to(
        TargetClass(name) if isinstance(name, str) else name for name in classes
    )
    segmenter = BoxesThenMasks("a pair", GivenBoxes(*detections), FilledBoxes())
    batch = Batch((PHOTO,), vocabulary.thresholds(threshold))
    [result] = segmenter.segment(batch, segmenter.encode(vocabulary))
    return result


def objects(result: Segmentation) -> list[tuple[int, float, Box]]:
    assert result.instances is not None
    return [
        (detected.class_id, round(detected.score, 3), detected.box) for detected in result.instances
    ]


# -- given boxes -------------------------------------------------------------------------------------------


def test_objects_have_the_score_of_the_detector_and_are_in_falling_order() -> None:
    result = segment(
        (0.6, "mug", (0, 0, 10, 10)), (0.9, "duck", (20, 10, 40, 30)), classes=("mug", "duck")
    )
    assert objects(result) == [(2, 0.9, Box(20, 10, 20, 20)), (1, 0.6, Box(0, 0, 10, 10))]
    assert result.label[5, 5] == 1 and result.label[15, 25] == 2 and result.label[40, 60] == 0
    assert result.confidence[5, 5] == round(0.6 * 255)


def test_a_box_may_be_of_two_classes_and_the_higher_score_has_the_pixels() -> None:
    box = (0.0, 0.0, 10.0, 10.0)
    result = segment((0.6, "mug", box), (0.7, "cup", box), classes=("mug", "cup"))
    assert [(class_id, score) for class_id, score, _ in objects(result)] == [(2, 0.7), (1, 0.6)]
    assert (result.label[:10, :10] == 2).all()


def test_a_box_of_several_phrases_gets_one_mask() -> None:
    box, names = (0.0, 0.0, 10.0, 10.0), ("mug", "cup", "duck")
    detections = [(0.6 + i / 10, name, box) for i, name in enumerate(names)]
    vocabulary = Vocabulary().changed_to(map(TargetClass, names))
    masks = FilledBoxes()
    detector = GivenBoxes(*detections, (0.9, "cup", (20, 0, 30, 10)))
    segmenter = BoxesThenMasks("a pair", detector, masks)
    batch = Batch((PHOTO,), vocabulary.thresholds(0.5))
    [result] = segmenter.segment(batch, segmenter.encode(vocabulary))
    assert masks.count == 2
    assert [box.left for _, _, box in objects(result)] == [20, 0, 0, 0]


def test_an_object_of_several_phrases_of_a_class_is_detected_once() -> None:
    result = segment(
        (0.6, "mug", (0, 0, 10, 10)),
        (0.8, "cup", (0, 0, 10, 9)),
        (0.7, "cup", (30, 0, 40, 10)),
        classes=(TargetClass("mug", ("mug", "cup")),),
    )
    assert objects(result) == [(1, 0.8, Box(0, 0, 10, 9)), (1, 0.7, Box(30, 0, 10, 10))]


def test_a_negative_of_a_higher_score_takes_the_box_and_gets_no_mask() -> None:
    cone = TargetClass("cone", ("orange cone",), negatives=("orange jacket",))
    result = segment(
        (0.6, "orange cone", (0, 0, 20, 10)),
        (0.8, "orange jacket", (0, 0, 20, 12)),
        (0.7, "orange cone", (30, 0, 40, 10)),
        (0.9, "orange jacket", (50, 20, 60, 40)),
        (0.55, "jacket", (0, 0, 20, 12)),
        classes=(cone, "jacket"),
    )
    assert objects(result) == [(1, 0.7, Box(30, 0, 10, 10)), (2, 0.55, Box(0, 0, 20, 12))]


def test_a_class_has_one_threshold_for_all_its_phrases() -> None:
    detections = (
        (0.6, "mug", (0, 0, 9, 9)),
        (0.6, "cup", (20, 0, 29, 9)),
        (0.6, "duck", (40, 0, 9, 9)),
    )
    high = TargetClass("mug", ("mug", "cup"), threshold=0.7)
    assert not objects(segment(*detections, classes=(high,)))
    low = TargetClass("mug", ("mug", "cup"), threshold=0.3)
    assert len(objects(segment(*detections, classes=(low, "duck"), threshold=0.9))) == 2


def test_boxes_are_clipped_to_the_image_and_those_outside_are_dropped() -> None:
    result = segment(
        (0.6, "mug", (-20, -3, 10, 10)),
        (0.7, "mug", (5, 48, 30, 64)),  # in the padding of a detector
        (0.8, "mug", (60, 40, 90, 90)),
        classes=("mug",),
    )
    assert objects(result) == [(1, 0.8, Box(60, 40, 4, 8)), (1, 0.6, Box(0, 0, 10, 10))]


def test_of_too_many_boxes_those_of_highest_score_get_masks() -> None:
    many = [(0.5 + i / 2000, "mug", (i % 60, 0, i % 60 + 4, 4)) for i in range(900)]
    scores = [score for _, score, _ in objects(segment(*many, classes=("mug",)))]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 300 and min(scores) == pytest.approx(0.8, abs=0.001)


# -- real models -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    write_owlv2(folder / "owlv2", small_owlv2_config(), words=("red", "mug"), seed=1)
    write_sam_hq(folder / "sam_hq", small_sam_hq_config(), seed=1)
    return folder / "owlv2", folder / "sam_hq"


@pytest.fixture(scope="module")
def pair(folders: tuple[Path, Path]) -> BoxesThenMasks:
    segmenter = load_segmenter(f"{folders[0]} + {folders[1]}", CPU)
    assert isinstance(segmenter, BoxesThenMasks)
    return segmenter


@torch.inference_mode()
def reference(folders: tuple[Path, Path], prompt: str, threshold: float) -> list[Tensor]:
    """Return the binary masks of an image and a phrase by transformers' own pipeline, in falling order of score."""
    owlv2 = Owlv2Processor(
        Owlv2ImageProcessorPil.from_pretrained(folders[0]),
        CLIPTokenizer.from_pretrained(folders[0]),
    )
    inputs = owlv2(text=[[prompt]], images=PHOTO, return_tensors="pt")
    outputs = Owlv2ForObjectDetection.from_pretrained(folders[0]).eval()(**inputs)
    [detections] = owlv2.post_process_grounded_object_detection(outputs, threshold, [SIZE])
    limits = torch.tensor([SIZE[1], SIZE[0]] * 2)
    boxes = torch.minimum(detections["boxes"].clamp(min=0), limits)  # as the segmenter clips them
    boxes = boxes[detections["scores"].argsort(descending=True)]
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(dim=1)]
    sam_hq = SamHQProcessor(SamImageProcessorPil.from_pretrained(folders[1]))
    inputs = sam_hq(images=[PHOTO], input_boxes=[boxes.tolist()], return_tensors="pt")
    outputs = SamHQModel.from_pretrained(folders[1]).eval()(
        pixel_values=inputs["pixel_values"],
        input_boxes=inputs["input_boxes"].float(),
        multimask_output=False,
    )
    sizes = inputs["original_sizes"], inputs["reshaped_input_sizes"]
    [masks] = sam_hq.post_process_masks(outputs.pred_masks, *sizes)
    return list(masks[:, 0])


def test_the_objects_of_a_pair_equal_the_reference_pipeline(
    folders: tuple[Path, Path], pair: BoxesThenMasks
) -> None:
    """Number, order and masks for one phrase; of several, the reference reports the arg-max alone."""
    vocabulary = Vocabulary().changed_to([TargetClass("red mug")])
    batch = Batch((PHOTO,), vocabulary.thresholds(0.3))
    [result] = pair.segment(batch, pair.encode(vocabulary))
    expected = reference(folders, "red mug", 0.3)
    assert result.instances is not None and len(result.instances) == len(expected) > 3
    for detected, mask in zip(result.instances, expected, strict=True):
        full = np.zeros(SIZE, bool)
        box = detected.box
        full[box.top : box.top + box.height, box.left : box.left + box.width] = detected.mask
        assert (full != mask.numpy()).mean() <= 1e-3  # 3 pixels


def test_text_is_encoded_once_per_vocabulary_and_an_image_once_per_model(
    pair: BoxesThenMasks,
) -> None:
    owlv2, sam_hq = pair.detector._network.owlv2, pair.box_segmenter._network
    calls: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: calls.append(name))
        for name, module in {
            "text": owlv2.text_model,
            "boxes": owlv2.vision_model.embeddings,
            "masks": sam_hq.vision_encoder,
        }.items()
    ]
    vocabulary = Vocabulary().changed_to(TargetClass(name) for name in ("red mug", "mug", "car"))
    encoded = pair.encode(vocabulary)
    assert calls == ["text"]
    pair.segment(Batch((PHOTO,), vocabulary.thresholds(0.3)), encoded)
    assert calls == ["text", "boxes", "masks"]
    pair.segment(Batch((PHOTO,), vocabulary.thresholds(1.0)), encoded)  # no box reaches it
    assert calls == ["text", "boxes", "masks", "boxes"]
    for hook in hooks:
        hook.remove()


# -- loading -----------------------------------------------------------------------------------------------


def checkpoint(folder: Path, kind: str) -> str:
    folder = folder / kind
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    return str(folder)


def test_a_pair_names_both_models(pair: BoxesThenMasks, folders: tuple[Path, Path]) -> None:
    assert pair.model == f"{folders[0]} + {folders[1]}"
    assert (pair.detector.model, pair.box_segmenter.model) == tuple(map(str, folders))
    assert pair.device == "cpu"


def test_spaces_are_needed_only_where_a_folder_has_a_plus_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "a+b").mkdir()
    write_owlv2(tmp_path / "a+b" / "o", small_owlv2_config())
    write_sam_hq(tmp_path / "a+b" / "s", small_sam_hq_config())
    load_segmenter(f"{tmp_path}/a+b/o + {tmp_path}/a+b/s", CPU)
    (tmp_path / "a+b").rename(tmp_path / "ab")
    load_segmenter(f"{tmp_path}/ab/o+{tmp_path}/ab/s", CPU)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("{owlv2}", r"finds boxes only .* write \S+owlv2 \+ facebook/sam2.1-hiera-tiny$"),
        ("{sam2}", r"needs a detector before it; write google/owlv2\S+ \+ \S+sam2$"),
        ("{sam2} + {owlv2}", r"the detector comes first; write \S+/owlv2 \+ \S+/sam2$"),
        ("{owlv2} + {owlv2}", r"are two detectors; write \S+/owlv2 \+ facebook/sam2\S+$"),
        ("{sam2} + {sam_hq}", r"are two mask models; write google/\S+ \+ \S+/sam_hq$"),
        ("{owlv2} + {clipseg}", r"clipseg finds masks by itself .* write \S+/clipseg$"),
        ("{clipseg} + {sam2}", r"clipseg finds masks by itself .* write \S+/clipseg$"),
        ("{owlv2} + {sam2} + {sam2}", r"not one detector and one mask model; write two names"),
        ("{owlv2} +", r"not one detector and one mask model; write two names"),
        ("+", r"not one detector and one mask model; write two names"),
        ("{owlv2} + {yolo}", r"of kind 'yolo'.*known are: .*clipseg.*owlv2.* \+ .*sam2"),
        ("{yolo}", r"of kind 'yolo'.*known are: .*clipseg.*owlv2.* \+ .*sam2"),
    ],
)
def test_models_that_make_no_pair_are_refused_with_what_to_write_instead(
    tmp_path: Path, model: str, message: str
) -> None:
    kinds = ("owlv2", "sam2", "sam_hq", "clipseg", "yolo")
    written = model.format(**{kind: checkpoint(tmp_path, kind) for kind in kinds})
    with pytest.raises(ModelError, match=message) as refused:
        load_segmenter(written, CPU)
    assert "\n" not in str(refused.value)


def test_a_model_that_is_not_on_disk_is_refused_with_the_command_that_fetches_it(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelNotFoundError, match=r"zs-seg fetch facebook/sam2\.1-hiera-tiny$"):
        load_segmenter(f"{folders[0]} + facebook/sam2.1-hiera-tiny", CPU)


@pytest.mark.parametrize(
    ("revision", "expected"),
    [("", ("", "")), ("a + b", ("a", "b")), ("a+", ("a", "")), ("+b", ("", "b"))],
)
def test_a_revision_of_a_pair_names_one_for_each_model(
    folders: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    revision: str,
    expected: tuple[str, str],
) -> None:
    revisions: list[str] = []

    def find(model: str, revision: str = "") -> Path:
        revisions.append(revision)
        return folders[len(revisions) - 1]

    monkeypatch.setattr("zs_seg_ros.segmenters.registry.find_checkpoint", find)
    load_segmenter("a/b + c/d", LoadOptions(device="cpu", revision=revision))
    assert tuple(revisions) == expected


def test_one_revision_for_a_pair_is_refused(folders: tuple[Path, Path]) -> None:
    options = LoadOptions(device="cpu", revision="v1")
    with pytest.raises(ModelError, match=r"'v1' does not say which .* for example v1 \+ main"):
        load_segmenter(f"{folders[0]} + {folders[1]}", options)


def test_no_kind_is_both_a_detector_and_a_mask_model() -> None:
    assert not DETECTORS.keys() & BOX_SEGMENTERS.keys()
