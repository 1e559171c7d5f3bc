# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Ground truth as images of ids or colours, in the layouts of public datasets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scenes import SQUARES, ids, image, write_class_id_images

from zs_seg_ros.errors import EvaluationError
from zs_seg_ros.evaluation.class_id_images import ClassIdImages
from zs_seg_ros.evaluation.truth import IGNORED


def test_the_layout_of_cityscapes(tmp_path: Path) -> None:
    truth = ClassIdImages(write_class_id_images(tmp_path, {"b": image(), "a": image(red=3)}))
    assert [target.name for target in truth.classes] == ["red", "blue"]
    assert truth.classes[1].prompts == ("blue", "navy")
    frames = list(truth.frames())
    assert [frame.name for frame in frames] == [f"town/{n}_leftImg8bit.png" for n in "ab"]
    assert len(truth) == 2 and not truth.separates_objects
    assert np.array_equal(frames[1].image, image())
    assert np.array_equal(frames[1].label, (ids() == 7) + 2 * (ids() == 26))


def layout(folder: Path, label: Image.Image, classes: str, more: str = "") -> Path:
    for name in ("images", "labels"):
        (folder / name).mkdir()
    Image.fromarray(image()).save(folder / "images" / "one.jpg")
    label.save(folder / "labels" / "one.png")
    path = folder / "truth.yaml"
    path.write_text(f"images: images\nlabels: labels\n{more}classes: {classes}\n")
    return path


def test_colours_as_in_camvid(tmp_path: Path) -> None:
    colours = np.zeros((*ids().shape, 3), np.uint8)
    colours[SQUARES["red"]] = (64, 0, 128)
    colours[SQUARES["blue"]] = (0, 128, 192)
    colours[0] = (1, 2, 3)
    path = layout(
        tmp_path,
        Image.fromarray(colours),
        '{"0,128,192": bicyclist, "64, 0, 128": car}',
        "ignore: ['1,2,3']\n",
    )
    [frame] = ClassIdImages(path).frames()
    expected = (ids() == 26) + 2 * (ids() == 7)
    expected[0] = 0
    assert np.array_equal(np.where(frame.label == IGNORED, 0, frame.label), expected)
    assert (frame.label[0] == IGNORED).all() and (frame.label[1:] != IGNORED).all()


def test_palettes_as_in_pascal_voc_hold_indices(tmp_path: Path) -> None:
    label = Image.fromarray(np.where(ids() == 7, 15, 255 * (ids() == 26)).astype(np.uint8), "P")
    label.putpalette([9, 8, 7] * 256)
    path = layout(tmp_path, label, "{15: person}", "ignore: [255]\n")
    [frame] = ClassIdImages(path).frames()
    assert np.array_equal(frame.label == 1, ids() == 7)
    assert np.array_equal(frame.label == IGNORED, ids() == 26)


def test_ids_of_16_bits(tmp_path: Path) -> None:
    label = Image.fromarray(np.where(ids() == 7, 40_000, 0).astype(np.uint16))
    [frame] = ClassIdImages(layout(tmp_path, label, "{40000: rare}")).frames()
    assert np.array_equal(frame.label == 1, ids() == 7)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no mapping with images"),
        ("images: [", "no YAML"),
        ("images: images\nlabels: labels\n", "classes"),
        ("images: images\nlabels: labels\nclasses: {}\n", "classes"),
        ("images: nowhere\nlabels: labels\nclasses: {1: a}\n", "no folder"),
        ("images: images\nlabels: labels\nclasses: {1: a}\nsplit: val\n", "'split'"),
        ("images: images\nlabels: labels\nclasses: {cat: a}\n", "'cat'"),
        ("images: images\nlabels: labels\nclasses: {70000: a}\n", "70000"),
        ("images: images\nlabels: labels\nclasses: {'1,2,256': a}\n", "256"),
        ("images: images\nlabels: labels\nclasses: {1: a, 2: a}\n", "twice"),
        ("images: images\nlabels: labels\nclasses: {1: {prompts: [a]}}\n", "name"),
        ("images: images\nlabels: labels\nclasses: {1: {name: a, prompts: b}}\n", "list of texts"),
        ("images: images\nlabels: labels\nclasses: {1: {name: a, colour: b}}\n", "'colour'"),
        ("images: images\nlabels: labels\nclasses: {1: a}\nignore: 255\n", "no list"),
        ("images: images\nlabels: labels\nclasses: {1: a}\nlabel_suffix: .gif\n", "one.gif"),
        ("images: images\nlabels: labels\nclasses: {1: a}\nimage_suffix: x.jpg\n", "'x.jpg'"),
    ],
)
def test_a_wrong_description_is_refused_in_a_sentence(
    tmp_path: Path, text: str, problem: str
) -> None:
    path = layout(tmp_path, Image.fromarray(ids()), "{1: a}")
    path.write_text(text)
    with pytest.raises(EvaluationError) as refused:
        ClassIdImages(path)
    assert problem in str(refused.value) and "\n" not in str(refused.value)
    assert "truth.yaml" in str(refused.value)


def test_sizes_that_differ_are_refused(tmp_path: Path) -> None:
    path = layout(tmp_path, Image.fromarray(ids()[:, :-1]), "{7: red}")
    with pytest.raises(EvaluationError, match=r"64x48 pixels and its ground truth 63x48"):
        list(ClassIdImages(path).frames())


def test_a_label_image_that_is_damaged_is_named(tmp_path: Path) -> None:
    path = layout(tmp_path, Image.fromarray(ids()), "{7: red}")
    (tmp_path / "labels" / "one.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    with pytest.raises(EvaluationError, match=r"one\.png cannot be read"):
        list(ClassIdImages(path).frames())
