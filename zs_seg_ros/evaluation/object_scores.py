# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Scores of detected objects: average precision as COCO defines it, and panoptic quality."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.evaluation.coco_truth import coco_tools
from zs_seg_ros.evaluation.truth import IGNORED, TruthFrame
from zs_seg_ros.perception.masks import full_mask
from zs_seg_ros.types import DetectedObject

_MATCHED = 0.5
"""The IoU above which a segment can match only one other (Kirillov et al. 2019, "Panoptic Segmentation")."""


@dataclass(frozen=True)
class ObjectResults:
    """AP over IoU 0.50 to 0.95, AP at 0.50, and panoptic quality: all 0 to 1, NaN without objects.

    classes: AP and panoptic quality of each class.
    """

    average_precision: float
    average_precision_50: float
    panoptic_quality: float
    classes: tuple[tuple[float, float], ...]


class ObjectScores:
    """Accumulates detections and true objects of `count` classes, numbered from 1."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._tools = coco_tools("mask")
        self._images: list[dict[str, Any]] = []
        self._truth: list[dict[str, Any]] = []
        self._detections: list[dict[str, Any]] = []
        self._panoptic = np.zeros((4, count + 1))  # matched, sum of their IoU, missed, false

    def add(
        self,
        frame: TruthFrame,
        detections: Sequence[tuple[int, DetectedObject]],
        size: tuple[int, int],
    ) -> None:
        """Add the detections in one frame, each with the number of its class. size: (H, W) of the image."""
        number = len(self._images) + 1
        self._images.append({"id": number, "height": size[0], "width": size[1]})
        for known in frame.objects or ():
            runs = self._runs(known.mask)
            self._truth.append(
                {
                    "id": len(self._truth) + 1,
                    "image_id": number,
                    "category_id": known.number,
                    "segmentation": runs,
                    "area": int(np.count_nonzero(known.mask)),
                    "bbox": self._tools.toBbox(runs).tolist(),
                    "iscrowd": int(known.crowd),
                }
            )
        masks = [(n, d.score, full_mask(d.mask, d.box, size)) for n, d in detections]
        for category, score, mask in masks:
            self._detections.append(
                {
                    "image_id": number,
                    "category_id": category,
                    "segmentation": self._runs(mask),
                    "score": score,
                }
            )
        self._add_panoptic(frame, masks)

    def _runs(self, mask: NDArray[np.bool_]) -> Any:
        return self._tools.encode(np.asfortranarray(mask.view(np.uint8)))

    def _add_panoptic(
        self, frame: TruthFrame, masks: Sequence[tuple[int, float, NDArray[np.bool_]]]
    ) -> None:
        """Match segments that do not overlap: of two masks on one pixel, the more confident one keeps it."""
        void = frame.label == IGNORED
        segments, classes = np.zeros(frame.label.shape, np.int32), [0]
        for category, _, mask in sorted(masks, key=lambda m: -m[1]):
            classes.append(category)
            segments[mask & (segments == 0)] = len(classes) - 1
        truth, known = np.zeros_like(segments), [0]
        objects = [o for o in frame.objects or () if not o.crowd]
        for true_object in sorted(objects, key=lambda o: -np.count_nonzero(o.mask)):
            known.append(true_object.number)
            truth[true_object.mask & ~void] = len(known) - 1
        pairs = np.bincount(
            (truth * len(classes) + segments).ravel(), minlength=len(known) * len(classes)
        ).reshape(len(known), len(classes))
        outside = np.bincount(segments[void], minlength=len(classes))
        matched_truth, matched_segments = set(), set()
        for i, j in np.argwhere(pairs[1:, 1:]) + 1:
            union = pairs[i].sum() + pairs[:, j].sum() - outside[j] - pairs[i, j]
            iou = pairs[i, j] / union
            if known[i] == classes[j] and iou > _MATCHED:
                self._panoptic[0, known[i]] += 1
                self._panoptic[1, known[i]] += iou
                matched_truth.add(i)
                matched_segments.add(j)
        for i in set(range(1, len(known))) - matched_truth:
            if pairs[i].sum():
                self._panoptic[2, known[i]] += 1
        for j in set(range(1, len(classes))) - matched_segments:
            pixels = pairs[:, j].sum()
            if pixels and outside[j] <= _MATCHED * pixels:
                self._panoptic[3, classes[j]] += 1

    def results(self) -> ObjectResults:
        """Compute the scores of everything that was added."""
        precisions = self._average_precisions()
        matched, total, missed, false = self._panoptic[:, 1:]
        with np.errstate(invalid="ignore"):
            quality = total / (matched + (missed + false) / 2)
        per_class = [(_mean(precisions[:, i]), float(quality[i])) for i in range(self._count)]
        return ObjectResults(
            _mean(precisions),
            _mean(precisions[0]),
            float(np.nanmean(quality)) if not np.isnan(quality).all() else math.nan,
            tuple(per_class),
        )

    def _average_precisions(self) -> NDArray[np.float64]:
        """Return AP for each of COCO's ten limits of IoU and each class: (10, count), NaN without true objects."""
        dataset = {
            "images": self._images,
            "annotations": self._truth,
            "categories": [{"id": n, "name": str(n)} for n in range(1, self._count + 1)],
            "info": {},
        }
        if not self._truth:
            return np.full((10, self._count), math.nan)
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints what it does
            truth = coco_tools("coco").COCO()
            truth.dataset = dataset
            truth.createIndex()
            if not self._detections:
                present = {entry["category_id"] for entry in self._truth if not entry["iscrowd"]}
                row = [0.0 if n in present else math.nan for n in range(1, self._count + 1)]
                return np.tile(row, (10, 1))
            evaluation = coco_tools("cocoeval").COCOeval(
                truth, truth.loadRes(self._detections), "segm"
            )
            evaluation.evaluate()
            evaluation.accumulate()
        # (limits of IoU, recalls, classes, ranges of area, numbers of detections); -1 without true objects
        precision = evaluation.eval["precision"][:, :, :, 0, -1]
        return np.asarray(np.where(precision < 0, math.nan, precision).mean(axis=1))


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan
