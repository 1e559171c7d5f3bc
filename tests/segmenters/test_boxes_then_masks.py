"""A detector with a mask model behind it: what is made of boxes, and how a pair is loaded."""

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
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import BOX_SEGMENTERS, DETECTORS, load_segmenter
from zs_seg_ros.testing.owlv2 import small_owlv2_config, write_owlv2
from zs_seg_ros.testing.sam_hq import small_sam_hq_config, write_sam_hq
from zs_seg_ros.types import Batch, Box, RgbImage, Segmentation
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

CPU = LoadOptions(device="cpu")
SIZE = (48, 64)
PHOTO = noise(*SIZE)

Found = tuple[float, str, tuple[float, float, float, float]]
"""A score, a phrase, and left, top, right, bottom."""


class GivenBoxes(Detector[tuple[str, ...]]):
    """Finds what the test says, where it reaches the threshold of its phrase."""

    model, device = "given boxes", "cpu"

    def __init__(self, *things: Found) -> None:
        self.things = things

    def encode(self, prompts: Sequence[str]) -> tuple[str, ...]:
        return tuple(prompts)

    def detect(
        self,
        images: Sequence[RgbImage],
        encoded: tuple[str, ...],
        thresholds: NDArray[np.float32],
    ) -> list[Boxes]:
        found = [
            (corners, score, index)
            for score, prompt, corners in self.things
            for index, requested in enumerate(encoded)
            if prompt == requested and score >= thresholds[index]
        ]
        boxes = Boxes(
            torch.tensor([corners for corners, _, _ in found]).view(-1, 4),
            torch.tensor([score for _, score, _ in found]),
            torch.tensor([index for _, _, index in found], dtype=torch.int64),
        )
        return [boxes] * len(images)


class FilledBoxes(BoxSegmenter):
    """The mask of a box is the whole box."""

    model = "filled boxes"

    def masks(self, images: Sequence[RgbImage], boxes: Sequence[Tensor]) -> list[Tensor]:
        found = []
        self.count = sum(len(corners) for corners in boxes)
        for image, corners in zip(images, boxes, strict=True):
            masks = torch.full((len(corners), *image.shape[:2]), -1.0)
            for mask, (left, top, right, bottom) in zip(masks, corners.round().int(), strict=True):
                mask[top:bottom, left:right] = 1
            found.append(masks)
        return found


def segment(
    *things: Found, classes: Sequence[TargetClass | str], threshold: float = 0.5
) -> Segmentation:
    vocabulary = Vocabulary().changed_to(
        TargetClass(each) if isinstance(each, str) else each for each in classes
    )
    segmenter = BoxesThenMasks("a pair", GivenBoxes(*things), FilledBoxes())
    batch = Batch((PHOTO,), vocabulary.thresholds(threshold))
    [result] = segmenter.segment(batch, segmenter.encode(vocabulary))
    return result


def things(result: Segmentation) -> list[tuple[int, float, Box]]:
    assert result.instances is not None
    return [(each.class_id, round(each.score, 3), each.box) for each in result.instances]


# -- what is made of boxes ---------------------------------------------------------------------------------


def test_things_come_with_the_score_of_the_detector_the_most_certain_first() -> None:
    result = segment(
        (0.6, "mug", (0, 0, 10, 10)), (0.9, "duck", (20, 10, 40, 30)), classes=("mug", "duck")
    )
    assert things(result) == [(2, 0.9, Box(20, 10, 20, 20)), (1, 0.6, Box(0, 0, 10, 10))]
    assert result.label[5, 5] == 1 and result.label[15, 25] == 2 and result.label[40, 60] == 0
    assert result.confidence[5, 5] == round(0.6 * 255)


def test_one_place_may_be_of_two_classes_and_the_more_certain_has_the_pixels() -> None:
    place = (0.0, 0.0, 10.0, 10.0)
    result = segment((0.6, "mug", place), (0.7, "cup", place), classes=("mug", "cup"))
    assert [(class_id, score) for class_id, score, _ in things(result)] == [(2, 0.7), (1, 0.6)]
    assert (result.label[:10, :10] == 2).all()


def test_a_place_gets_one_mask_however_many_phrases_fit_it() -> None:
    place, names = (0.0, 0.0, 10.0, 10.0), ("mug", "cup", "duck")
    found = [(0.6 + i / 10, name, place) for i, name in enumerate(names)]
    vocabulary = Vocabulary().changed_to(map(TargetClass, names))
    masks = FilledBoxes()
    segmenter = BoxesThenMasks("a pair", GivenBoxes(*found, (0.9, "cup", (20, 0, 30, 10))), masks)
    batch = Batch((PHOTO,), vocabulary.thresholds(0.5))
    [result] = segmenter.segment(batch, segmenter.encode(vocabulary))
    assert masks.count == 2
    assert [box.left for _, _, box in things(result)] == [20, 0, 0, 0]


def test_several_phrases_of_a_class_find_one_thing_once() -> None:
    result = segment(
        (0.6, "mug", (0, 0, 10, 10)),
        (0.8, "cup", (0, 0, 10, 9)),
        (0.7, "cup", (30, 0, 40, 10)),
        classes=(TargetClass("mug", ("mug", "cup")),),
    )
    assert things(result) == [(1, 0.8, Box(0, 0, 10, 9)), (1, 0.7, Box(30, 0, 10, 10))]


def test_a_class_has_one_threshold_for_all_its_phrases() -> None:
    found = ((0.6, "mug", (0, 0, 9, 9)), (0.6, "cup", (20, 0, 29, 9)), (0.6, "duck", (40, 0, 9, 9)))
    picky = TargetClass("mug", ("mug", "cup"), threshold=0.7)
    assert not things(segment(*found, classes=(picky,)))
    easy = TargetClass("mug", ("mug", "cup"), threshold=0.3)
    assert len(things(segment(*found, classes=(easy, "duck"), threshold=0.9))) == 2


def test_boxes_are_cut_to_the_image_and_those_outside_are_left_out() -> None:
    result = segment(
        (0.6, "mug", (-20, -3, 10, 10)),
        (0.7, "mug", (5, 48, 30, 64)),  # in what a detector fills an image up with
        (0.8, "mug", (60, 40, 90, 90)),
        classes=("mug",),
    )
    assert things(result) == [(1, 0.8, Box(60, 40, 4, 8)), (1, 0.6, Box(0, 0, 10, 10))]


def test_of_too_many_boxes_the_most_certain_get_masks() -> None:
    many = [(0.5 + i / 2000, "mug", (i % 60, 0, i % 60 + 4, 4)) for i in range(900)]
    scores = [score for _, score, _ in things(segment(*many, classes=("mug",)))]
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
    """transformers' own way from an image and a phrase to binary masks, the most certain first."""
    reader = Owlv2Processor(
        Owlv2ImageProcessorPil.from_pretrained(folders[0]),
        CLIPTokenizer.from_pretrained(folders[0]),
    )
    inputs = reader(text=[[prompt]], images=PHOTO, return_tensors="pt")
    outputs = Owlv2ForObjectDetection.from_pretrained(folders[0]).eval()(**inputs)
    [found] = reader.post_process_grounded_object_detection(outputs, threshold, [SIZE])
    limits = torch.tensor([SIZE[1], SIZE[0]] * 2)
    boxes = torch.minimum(found["boxes"].clamp(min=0), limits)  # as ours are cut
    boxes = boxes[found["scores"].argsort(descending=True)]
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(dim=1)]
    processor = SamHQProcessor(SamImageProcessorPil.from_pretrained(folders[1]))
    inputs = processor(images=[PHOTO], input_boxes=[boxes.tolist()], return_tensors="pt")
    outputs = SamHQModel.from_pretrained(folders[1]).eval()(
        pixel_values=inputs["pixel_values"],
        input_boxes=inputs["input_boxes"].float(),
        multimask_output=False,
    )
    sizes = inputs["original_sizes"], inputs["reshaped_input_sizes"]
    [masks] = processor.post_process_masks(outputs.pred_masks, *sizes)
    return list(masks[:, 0])


def test_the_things_of_a_pair_equal_the_reference_pipeline(
    folders: tuple[Path, Path], pair: BoxesThenMasks
) -> None:
    """Number, order and masks, from the image and one phrase; one, as the reference gives a box one phrase only."""
    vocabulary = Vocabulary().changed_to([TargetClass("red mug")])
    batch = Batch((PHOTO,), vocabulary.thresholds(0.3))
    [result] = pair.segment(batch, pair.encode(vocabulary))
    expected = reference(folders, "red mug", 0.3)
    assert result.instances is not None and len(result.instances) == len(expected) > 3
    for thing, mask in zip(result.instances, expected, strict=True):
        whole = np.zeros(SIZE, bool)
        box = thing.box
        whole[box.top : box.top + box.height, box.left : box.left + box.width] = thing.mask
        assert (whole != mask.numpy()).mean() <= 1e-3  # 3 pixels


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
    pair.segment(Batch((PHOTO,), vocabulary.thresholds(1.0)), encoded)  # finds no box
    assert calls == ["text", "boxes", "masks", "boxes"]
    for hook in hooks:
        hook.remove()


# -- loading -----------------------------------------------------------------------------------------------


def checkpoint(folder: Path, kind: str) -> str:
    folder = folder / kind
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    return str(folder)


def test_what_a_pair_is_made_of_is_kept(pair: BoxesThenMasks, folders: tuple[Path, Path]) -> None:
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
def test_what_makes_no_pair_says_what_to_write_instead(
    tmp_path: Path, model: str, message: str
) -> None:
    kinds = ("owlv2", "sam2", "sam_hq", "clipseg", "yolo")
    written = model.format(**{kind: checkpoint(tmp_path, kind) for kind in kinds})
    with pytest.raises(ModelError, match=message) as refused:
        load_segmenter(written, CPU)
    assert "\n" not in str(refused.value)


def test_a_part_that_is_not_on_disk_names_the_command_that_fetches_it(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelNotFoundError, match=r"zs-seg fetch facebook/sam2\.1-hiera-tiny$"):
        load_segmenter(f"{folders[0]} + facebook/sam2.1-hiera-tiny", CPU)


@pytest.mark.parametrize(
    ("revision", "expected"),
    [("", ("", "")), ("a + b", ("a", "b")), ("a+", ("a", "")), ("+b", ("", "b"))],
)
def test_a_revision_of_a_pair_holds_one_for_each(
    folders: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    revision: str,
    expected: tuple[str, str],
) -> None:
    requested: list[str] = []

    def find(model: str, revision: str = "") -> Path:
        requested.append(revision)
        return folders[len(requested) - 1]

    monkeypatch.setattr("zs_seg_ros.segmenters.registry.find_checkpoint", find)
    load_segmenter("a/b + c/d", LoadOptions(device="cpu", revision=revision))
    assert tuple(requested) == expected


def test_one_revision_for_a_pair_is_refused(folders: tuple[Path, Path]) -> None:
    options = LoadOptions(device="cpu", revision="v1")
    with pytest.raises(ModelError, match=r"'v1' does not say which .* for example v1 \+ main"):
        load_segmenter(f"{folders[0]} + {folders[1]}", options)


def test_no_kind_is_both_a_detector_and_a_mask_model() -> None:
    assert not DETECTORS.keys() & BOX_SEGMENTERS.keys()
