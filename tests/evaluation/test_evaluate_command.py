# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`zs-seg evaluate` from ground truth to table, JSON and page."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from scenes import SQUARES, evaluated, ids, image, write_class_id_images, write_coco
from small_bags import SHIPPED_BAG, Camera, write_bag

from zs_seg_ros.cli.main import main
from zs_seg_ros.errors import EvaluationError, ImageError
from zs_seg_ros.evaluation.bag_truth import BagTruth
from zs_seg_ros.evaluation.golden_truth import GoldenTruth
from zs_seg_ros.images.message_images import values_from_image


def shifted_iou(name: str, pixels: int) -> float:
    columns = SQUARES[name][1]
    width = columns.stop - columns.start
    return (width - pixels) / (width + pixels)


def test_images_that_are_right_score_1(tmp_path: Path) -> None:
    [scores] = evaluated(write_class_id_images(tmp_path, {"a": image(), "b": image()}))
    assert scores["model"] == "fake" and scores["images"] == 2
    assert scores["mean_iou"] == 1.0 and scores["frequency_weighted_iou"] == 1.0
    assert [c["name"] for c in scores["classes"]] == ["red", "blue"]
    assert scores["classes"][0]["pixels"] == 2 * np.count_nonzero(ids() == 7)
    assert "average_precision" not in scores and not scores["findings"]


def test_a_shifted_square_scores_what_geometry_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [scores] = evaluated(write_class_id_images(tmp_path, {"a": image(red=5)}))
    red, blue = scores["classes"]
    assert red["iou"] == pytest.approx(shifted_iou("red", 5))
    assert red["recall"] == red["precision"] == pytest.approx(15 / 20)
    assert blue["iou"] == 1.0
    assert f"mean IoU {(red['iou'] + 1) / 2:.3f}" in capsys.readouterr().out


def test_a_coco_file_has_scores_of_objects(tmp_path: Path) -> None:
    [scores] = evaluated(write_coco(tmp_path, {"a": image(red=5), "b": image()}))
    assert scores["mean_iou"] == pytest.approx((2 * 20 - 5) / (2 * 20 + 5) / 2 + 0.5)
    assert scores["classes"][1]["average_precision"] == pytest.approx(1)
    # Of two equally confident red squares one has an IoU of 0.6: it counts for three of ten limits. For the others it
    # is false, and comes before the right one, so that 51 of 101 recalls are reached with a precision of one half.
    assert scores["average_precision_50"] == pytest.approx(1)
    assert scores["classes"][0]["average_precision"] == pytest.approx(0.3 + 0.7 * 51 / 101 / 2)
    assert scores["classes"][0]["panoptic_quality"] == pytest.approx(
        (1 + shifted_iou("red", 5)) / 2
    )


def test_a_vocabulary_of_some_classes_leaves_the_others_out(tmp_path: Path) -> None:
    truth = write_class_id_images(tmp_path, {"a": image()})
    [scores] = evaluated(truth, "--classes", "blue")
    assert [c["name"] for c in scores["classes"]] == ["blue"] and scores["mean_iou"] == 1.0


def test_a_class_without_ground_truth_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = write_class_id_images(tmp_path, {"a": image()})
    assert main(["evaluate", str(truth), "--model", "fake", "--classes", "green", "red"]) == 2
    error = capsys.readouterr().err
    assert "no ground truth for the class 'green'" in error and "'red', 'blue'" in error


def test_confused_classes_are_reported(tmp_path: Path) -> None:
    pixels = image()
    rows, columns = SQUARES["red"]
    pixels[rows, columns.start : columns.start + 8] = pixels[30, 40]  # 8 of 20 columns are blue
    [scores] = evaluated(write_class_id_images(tmp_path, {"a": pixels}))
    assert scores["classes"][0]["confused_with"] == "blue"
    [finding] = [text for text in scores["findings"] if "'red'" in text]
    assert finding.startswith("40% of the pixels of 'red' are labelled 'blue'")


def test_a_class_inside_another_one_is_reported_with_the_words_to_give_it(tmp_path: Path) -> None:
    truth = write_class_id_images(tmp_path, {"a": image()})
    [scores] = evaluated(truth, "--classes", "red=red|blue", "blue")
    [finding] = [text for text in scores["findings"] if "'blue'" in text]
    assert finding.startswith(
        "100% of the pixels of 'blue' are labelled 'red', and alone 100% of its area lies inside that of 'red'"
    )
    assert "all words of the other's and more" in finding
    [scores] = evaluated(truth, "--classes", "red=red|blue", "blue=big blue ball")
    assert scores["mean_iou"] == 1.0 and scores["findings"] == []


def test_the_page_shows_the_worst_images_first(tmp_path: Path) -> None:
    images = {"good": image(), "bad": image(red=9), "fair": image(red=2)}
    page = tmp_path / "page.html"
    evaluated(write_class_id_images(tmp_path, images), "--page", page, "--worst", 2)
    captions = re.findall(r"<figcaption>([^<]*)</figcaption>", page.read_text())
    assert [re.search(r"town/(\w+?)_", c).group(1) for c in captions] == ["bad", "fair"]  # type: ignore[union-attr]
    assert "<script" not in page.read_text() and "http" not in page.read_text()
    assert page.read_text().count("data:image/jpeg;base64,") == 6


def test_names_with_markup_stay_text(tmp_path: Path) -> None:
    truth = write_class_id_images(tmp_path, {"<b>x": image(red=3)})
    page = tmp_path / "page.html"
    evaluated(truth, "--page", page)
    assert "<b>x" not in page.read_text() and "&lt;b&gt;x" in page.read_text()


def test_two_models_are_compared_on_the_same_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = write_class_id_images(tmp_path, {"a": image(red=5)})
    first, second = evaluated(truth, "--against", "fake")
    assert first["classes"] == second["classes"]
    iou = f"{shifted_iou('red', 5):.3f}"
    assert f"red: {iou} against {iou} fake" in capsys.readouterr().out


def test_a_limit_spreads_the_images_evenly(tmp_path: Path) -> None:
    images = {f"{i:02}": image(red=5 if i % 3 == 0 else 0) for i in range(9)}
    [scores] = evaluated(write_class_id_images(tmp_path, images), "--limit", 3)
    assert scores["images"] == 3
    assert scores["classes"][0]["iou"] == pytest.approx(shifted_iou("red", 5))


def test_the_shipped_recording_has_ground_truth_of_objects() -> None:
    truth = BagTruth(SHIPPED_BAG, label_topic="/camera/ground_truth/label")
    assert truth.separates_objects and len(truth) > 100
    frame = next(truth.frames())
    assert frame.objects
    for known in frame.objects:
        assert (frame.label[known.mask] == known.number).mean() > 0.9
    labelled = {int(n) for n in np.unique(frame.label)} - {0}
    assert labelled == {known.number for known in frame.objects}


def test_a_recording_without_label_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="not exactly one topic of label images"):
        BagTruth(write_bag(tmp_path / "bag", Camera()))


def test_a_labelled_recording_is_the_ground_truth_of_the_model_that_labelled_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write_bag(tmp_path / "bag", Camera("front"), Camera("rear", compressed=True))
    out = tmp_path / "labelled"
    label = ["label", str(bag), str(out), "--model", "fake", "--min-area", "1"]
    assert main([*label, "--classes", "red", "crimson=red|maroon", "blue"]) == 0
    assert main(["evaluate", str(out), "--model", "fake"]) == 2
    assert "/zs_seg/front/label, /zs_seg/rear/label: name one" in capsys.readouterr().err
    for camera in ("front", "rear"):
        [scores] = evaluated(out, "--label-topic", f"/zs_seg/{camera}/label")
        assert scores["images"] == 8 and scores["mean_iou"] == 1.0
        assert scores["classes"][2]["pixels"] > 0


def test_a_golden_file_has_the_images_of_its_recording() -> None:
    truth = GoldenTruth(SHIPPED_BAG / "tabletop.golden", SHIPPED_BAG)
    frames = list(truth.frames())
    assert len(frames) == len(truth) > 10 and truth.separates_objects
    for frame in frames[::10]:
        for known in frame.objects or ():
            assert (frame.label[known.mask] == known.number).mean() > 0.5


def test_label_messages_with_padding_and_byte_order() -> None:
    class Message:
        height, width, step, encoding, is_bigendian = 2, 3, 8, "mono16", 1
        data = np.array([[[1, 2], [0, 3], [0, 0], [9, 9]]] * 2, np.uint8).ravel()

    assert np.array_equal(values_from_image(Message), [[258, 3, 0]] * 2)
    Message.step = 5
    with pytest.raises(ImageError, match="less than a row of 6"):
        values_from_image(Message)


def test_an_absent_class_has_no_score(tmp_path: Path) -> None:
    truth = write_class_id_images(tmp_path, {"a": image()})
    truth.write_text(truth.read_text() + "  99: green\n")
    [scores] = evaluated(truth)
    green = scores["classes"][2]
    assert green["pixels"] == 0 and green["recall"] is None
    assert not math.isnan(scores["mean_iou"]) and scores["mean_iou"] == 1.0
    assert any("'green' does not occur" in text for text in scores["findings"])


def test_missing_pycocotools_is_said_before_a_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    assert main(["evaluate", str(SHIPPED_BAG), "--model", "there/is-none"]) == 2
    err = capsys.readouterr().err
    assert "need pycocotools, which is not installed; run: " in err and "there/is-none" not in err
