# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`zs-seg segment` with points, boxes, example images, negatives and everything."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zs_seg_ros.cli.argument_types import target_class
from zs_seg_ros.cli.example_files import ExampleFiles, example_files
from zs_seg_ros.cli.examples import with_examples
from zs_seg_ros.cli.main import main
from zs_seg_ros.cli.marks import marked_box, marked_point, mask_prompts
from zs_seg_ros.errors import ImageError, VocabularyError
from zs_seg_ros.segmenters.fake import PALETTE
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.mask_prompts import MarkedPoint, MaskPrompt, mask_prompter_of
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.shared import all_masks
from zs_seg_ros.testing.owlv2 import small_owlv2_config, write_owlv2
from zs_seg_ros.testing.sam2 import small_sam2_video_config, write_sam2
from zs_seg_ros.types import Box
from zs_seg_ros.vocabulary.vocabulary import TargetClass

SIZE = (48, 64)
SQUARES = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
PIXELS = SQUARES.repeat(8, axis=0).repeat(8, axis=1)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    Image.fromarray(PIXELS).save(path)
    return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small pair of a detector and a mask model that takes points and boxes."""
    folder = tmp_path_factory.mktemp("pair")
    write_owlv2(folder / "owlv2", small_owlv2_config(), words=("mug",), seed=1)
    write_sam2(folder / "sam2", small_sam2_video_config(), seed=3)
    return f"{folder / 'owlv2'} + {folder / 'sam2'}"


def segmented(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Any:
    assert main(["segment", *map(str, arguments), "--json", "--device", "cpu"]) == 0
    return json.loads(capsys.readouterr().out)


# --- reading of the options ---


@pytest.mark.parametrize(
    ("text", "name", "point"),
    [
        ("312,88", "", MarkedPoint(312, 88)),
        ("0.5,0.25", "", MarkedPoint(0.5, 0.25)),
        ("3, 4 ,out", "", MarkedPoint(3, 4, outside=True)),
        ("3,4=bracket 7", "bracket 7", MarkedPoint(3, 4)),
        ("3,4,out=a=b", "a=b", MarkedPoint(3, 4, outside=True)),
    ],
)
def test_a_point_is_read(text: str, name: str, point: MarkedPoint) -> None:
    mark = marked_point(text)
    assert (mark.name, mark.point, mark.box) == (name, point, None)


@pytest.mark.parametrize("text", ["", "3", "3,", "a,4", "3,4,in", "3,4,5", "nan,4", "3,inf", "=a"])
def test_what_is_no_point_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is not a point: write X,Y or X,Y,out"):
        marked_point(text)


def test_a_box_is_read_from_its_corners() -> None:
    mark = marked_box("40,60,160,150=bracket")
    assert (mark.name, mark.box) == ("bracket", Box(40, 60, 120, 90))


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,3,4,5", "1,2,1,4", "4,2,3,9", "1,4,3,4", "-1,2,3,4", "1.5,2,3,4"]
)
def test_what_is_no_box_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is not a box: write LEFT,TOP,RIGHT,BOTTOM"):
        marked_box(text)


def test_marks_of_one_name_mark_one_object_and_each_further_box_another() -> None:
    inside, outside = MarkedPoint(1, 2), MarkedPoint(3, 4, outside=True)
    box, other = Box(0, 0, 5, 5), Box(5, 5, 5, 5)
    marks = [
        marked_point("1,2"),
        marked_point("1,2=a"),
        marked_point("3,4,out"),
        marked_box("0,0,5,5=a"),
        marked_box("5,5,10,10=a"),
        marked_point("3,4,out=a"),
        marked_box("5,5,10,10"),
    ]
    assert mask_prompts(marks) == (
        MaskPrompt((inside, outside), other),
        MaskPrompt((inside,), box, "a"),
        MaskPrompt((outside,), other, "a"),
    )


@pytest.mark.parametrize(
    ("text", "prompts", "negatives"),
    [
        ("cone=orange cone|-orange jacket", ("orange cone",), ("orange jacket",)),
        ("cone=-orange jacket| -bucket", (), ("orange jacket", "bucket")),
        ("t-shirt", (), ()),
        ("shirt=t-shirt", ("t-shirt",), ()),
    ],
)
def test_a_phrase_after_a_minus_is_a_negative(
    text: str, prompts: tuple[str, ...], negatives: tuple[str, ...]
) -> None:
    target = target_class(text)
    assert (target.prompts, target.negatives) == (prompts, negatives)


def test_an_example_is_an_image_and_perhaps_a_mask(tmp_path: Path) -> None:
    assert example_files("a b=x/y.png") == ExampleFiles("a b", Path("x/y.png"))
    assert example_files("a=y.png:m.png") == ExampleFiles("a", Path("y.png"), Path("m.png"))
    odd = tmp_path / "10:30.png"
    odd.touch()
    assert example_files(f"a={odd}") == ExampleFiles("a", odd)
    assert example_files(f"a={odd}:m.png") == ExampleFiles("a", odd, Path("m.png"))


@pytest.mark.parametrize("text", ["", "a", "a=", "=x.png"])
def test_what_is_no_example_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="write NAME=IMAGE or NAME=IMAGE:MASK"):
        example_files(text)


# --- examples ---


def test_examples_join_the_class_of_their_name_and_others_are_classes_of_their_own(
    image: Path, tmp_path: Path
) -> None:
    mask = np.zeros(SIZE, np.uint8)
    mask[10:20, 5:30] = 7
    Image.fromarray(mask).save(tmp_path / "mask.png")
    classes = (TargetClass("mug"), TargetClass("duck", ("yellow duck",)))
    masked = ExampleFiles("mug", image, tmp_path / "mask.png")
    whole = ExampleFiles("bracket", image)
    mug, duck, bracket = with_examples(classes, [masked, whole, whole])
    assert (mug.name, mug.effective_prompts) == ("mug", ("mug",))
    [example] = mug.exemplars
    assert example.mask is not None and np.array_equal(example.mask, mask > 0)
    assert np.array_equal(example.image, PIXELS)
    assert duck == classes[1]
    assert bracket.effective_prompts == () and len(bracket.exemplars) == 2
    assert all(each.mask is None for each in bracket.exemplars)


def test_an_example_that_cannot_be_used_is_named(image: Path, tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), np.uint8)).save(tmp_path / "small.png")
    with pytest.raises(VocabularyError, match=r"the example .*image\.png: the mask has the shape"):
        with_examples([], [ExampleFiles("a", image, tmp_path / "small.png")])
    with pytest.raises(ImageError, match="there is no image"):
        with_examples([], [ExampleFiles("a", tmp_path / "none.png")])


def test_an_example_image_is_found_again_by_tabletop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A square of one colour, marked once, has the same pixels as in the image itself."""
    shown = np.full((240, 320, 3), 200, np.uint8)
    shown[80:160, 100:200] = (200, 30, 40)
    Image.fromarray(shown).save(tmp_path / "shown.png")
    mask = np.zeros(shown.shape[:2], np.uint8)
    mask[80:160, 100:200] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    example = f"part={tmp_path / 'shown.png'}:{tmp_path / 'mask.png'}"
    result = segmented(
        capsys,
        tmp_path / "shown.png",
        "--example",
        example,
        "--label",
        tmp_path / "label.png",
    )
    [row] = result["classes"]
    assert row["name"] == "part" and row["area"] > 0
    label = np.asarray(Image.open(tmp_path / "label.png"))
    assert (label[mask > 0] == 1).mean() > 0.8


# --- negatives ---


def test_negatives_of_the_command_line_win(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.repeat(np.array([[PALETTE["red"], PALETTE["blue"]]], np.uint8), 8, axis=0)
    Image.fromarray(pixels.repeat(8, axis=1)).save(tmp_path / "a.png")
    classes = ["--model", "fake", "--classes", "mug=red mug|blue mug|-blue jug"]
    [row] = segmented(capsys, tmp_path / "a.png", *classes)["classes"]
    assert row["area"] == 64


# --- points, boxes and everything ---


def test_each_marked_object_has_a_row_and_the_masks_of_the_model(
    pair: str, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marks = ["--point", "20.5,20.5=bracket", "--point", "50,40,out=bracket", "--box", "8,4,40,30"]
    out = ["--label", tmp_path / "label.png", "-o", tmp_path / "overlay.png"]
    result = segmented(capsys, image, *marks, "--model", pair, *out)
    assert "classes" not in result
    first, second = result["objects"]
    assert (first["name"], second["name"]) == ("bracket", "object 2")
    prompter = mask_prompter_of(load_segmenter(pair, LoadOptions(device="cpu")))
    prompts = (
        MaskPrompt((MarkedPoint(20.5, 20.5), MarkedPoint(50, 40, outside=True))),
        MaskPrompt(box=Box(8, 4, 32, 26)),
    )
    expected = prompter.masks_of_prompts(PIXELS, prompts)
    assert [each["area"] for each in result["objects"]] == [each.area for each in expected]
    assert [each["score"] for each in result["objects"]] == [round(e.score, 3) for e in expected]
    box = expected[1].box
    assert second["box"] == [box.left, box.top, box.left + box.width, box.top + box.height]
    label = np.asarray(Image.open(tmp_path / "label.png"))
    assert set(np.unique(label)) <= {0, first["id"], second["id"]} and label.any()
    assert np.asarray(Image.open(tmp_path / "overlay.png")).shape == (*SIZE, 3)


def test_the_table_has_the_marked_objects(
    pair: str, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["segment", str(image), "--box", "8,4,40,30=part", "--model", pair]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["id", "name", "area", "px", "area", "%", "confidence"]
    assert row.split()[:2] == ["1", "part"]


def test_everything_may_be_nothing(
    pair: str, image: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random masks are neither confident nor stable."""
    monkeypatch.setattr(all_masks, "POINTS_PER_SIDE", 2)
    assert segmented(capsys, image, "--everything", "--model", pair)["objects"] == []
    assert main(["segment", str(image), "--everything", "--model", pair]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_mark_outside_of_the_image_is_refused_in_one_sentence(
    pair: str, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for mark in (["--point", "64,10"], ["--box", "40,10,65,20"], ["--point", "3,3,out"]):
        assert main(["segment", str(image), *mark, "--model", pair]) == 2
        [line] = capsys.readouterr().err.strip().splitlines()
        assert line.startswith("zs-seg: marked object 1 ('object 1') has ")


def test_a_model_without_a_mask_model_is_refused(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for mark in (["--point", "3,3"], ["--everything"]):
        assert main(["segment", str(image), *mark, "--model", "fake"]) == 2
        assert "takes no points and boxes" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--point", "3,3", "--everything"],
        ["--classes", "mug", "--box", "1,1,5,5"],
        ["--example", "a=b.png", "--everything"],
    ],
)
def test_one_kind_of_prompt_is_given(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["segment", "a.png", *arguments]) == 2
    assert "name what to segment in one way" in capsys.readouterr().err
