# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Ground truth as a COCO file: polygons, run lengths of both kinds, crowds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenes import SIZE, SQUARES, image, write_coco

from zs_seg_ros.errors import EvaluationError
from zs_seg_ros.evaluation.coco_truth import CocoTruth
from zs_seg_ros.evaluation.truth import IGNORED


def changed(path: Path, **annotation: Any) -> Path:
    content = json.loads(path.read_text())
    content["annotations"][0] |= annotation
    path.write_text(json.dumps(content))
    return path


def square(name: str) -> np.ndarray[Any, Any]:
    mask = np.zeros(SIZE, np.bool_)
    mask[SQUARES[name]] = True
    return mask


def test_polygons(tmp_path: Path) -> None:
    truth = CocoTruth(write_coco(tmp_path, {"a": image()}), tmp_path)
    [frame] = truth.frames()
    assert [c.name for c in truth.classes] == ["red", "blue"] and len(truth) == 1
    assert np.array_equal(frame.label, square("red") + 2 * square("blue"))
    assert frame.objects is not None and [o.number for o in frame.objects] == [1, 2]
    assert np.array_equal(frame.objects[1].mask, square("blue"))


def test_run_lengths_go_down_the_columns(tmp_path: Path) -> None:
    rows, columns = SQUARES["red"]
    start, height = columns.start * SIZE[0] + rows.start, rows.stop - rows.start
    counts = [start, height]
    for _ in range(columns.start + 1, columns.stop):
        counts += [SIZE[0] - height, height]
    counts.append(SIZE[0] * SIZE[1] - sum(counts))
    path = changed(
        write_coco(tmp_path, {"a": image()}), segmentation={"size": list(SIZE), "counts": counts}
    )
    [frame] = CocoTruth(path, tmp_path).frames()
    assert np.array_equal(frame.label == 1, square("red"))


def test_a_crowd_is_not_judged(tmp_path: Path) -> None:
    path = changed(write_coco(tmp_path, {"a": image()}), iscrowd=1)
    [frame] = CocoTruth(path, tmp_path).frames()
    assert np.array_equal(frame.label == IGNORED, square("red"))
    assert frame.objects is not None and frame.objects[0].crowd


@pytest.mark.parametrize(
    "annotation",
    [
        {"segmentation": []},
        {"segmentation": {"counts": [5], "size": list(SIZE)}},
        {"segmentation": {"counts": [48 * 64], "size": [3, 1000]}},
        {"category_id": 99},
        {"segmentation": "abc"},
    ],
)
def test_a_wrong_annotation_is_refused_with_its_image(
    tmp_path: Path, annotation: dict[str, Any]
) -> None:
    truth = CocoTruth(changed(write_coco(tmp_path, {"a": image()}), **annotation), tmp_path)
    with pytest.raises(EvaluationError, match=r"a\.png") as refused:
        list(truth.frames())
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": 3}', '{"images": [{"id": 1}]}'])
def test_another_json_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "truth.json"
    path.write_text(text)
    with pytest.raises(EvaluationError, match="no COCO file"):
        CocoTruth(path, tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="there is no file"):
        CocoTruth(tmp_path / "none.json", tmp_path)
    truth = CocoTruth(write_coco(tmp_path, {"a": image()}), tmp_path)
    (tmp_path / "a.png").unlink()
    with pytest.raises(EvaluationError, match=r"no image .*a\.png"):
        list(truth.frames())
