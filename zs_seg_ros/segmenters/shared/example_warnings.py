# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Warnings about example images whose object looks to the model like what lies beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.segmenters.shared.exemplars import ClassRows
from zs_seg_ros.shown import quoted
from zs_seg_ros.vocabulary.vocabulary import Exemplar, Vocabulary

_MOST_BESIDE = 0.1
"""As a share of the object's area, chosen with earlier weights of `tabletop`: on rendered scenes of three shapes, two
colours each, examples that did well elsewhere had 0.05 at most, and those above 0.18 had false areas elsewhere. With
the present ones fewer examples have false areas at all (`benchmarks/exemplars.py --warnings`)."""
_MARGIN_CELLS = 2
"""Around the object, whose cells hold some of it."""
_FITS = 0.5


def share_beside(confidence: NDArray[np.float32], example: Exemplar) -> float:
    """Return the area that an example has beside its own object, as a share of the object's; 0 without a mask.

    confidence: (h, w), 0..1, of the example in each cell of its own image.
    """
    if example.mask is None:
        return 0.0
    rows, columns = confidence.shape
    covered = cv2.resize(
        example.mask.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA
    )
    width = 2 * _MARGIN_CELLS + 1
    beside = cv2.dilate((covered > 0).astype(np.uint8), np.ones((width, width), np.uint8)) == 0
    object_area = max(float(covered.sum()), 1.0)
    return float(((confidence >= _FITS) & beside).sum()) / object_area


def background_warnings(
    model: str, vocabulary: Vocabulary, rows: ClassRows[Any], shares: Sequence[float]
) -> list[str]:
    """Warn of examples that fit their own background. shares: of each row, `share_beside` for that of an example."""
    warnings = []
    for index, target in enumerate(vocabulary.classes):
        of_class = [
            share
            for share, class_index, is_one in zip(
                shares, rows.class_of_row, rows.is_exemplar, strict=True
            )
            if is_one and class_index == index
        ]
        numbers = [str(i) for i, share in enumerate(of_class, 1) if share > _MOST_BESIDE]
        if numbers:
            which = "" if len(of_class) == 1 else f" {', '.join(numbers)}"
            warnings.append(
                f"the example image{which} of class {quoted(target.name)} also fits parts of its own image beside its "
                f"mask, for the model {model}; expect false areas: show the object before another colour, mark all "
                "objects of the class in the image, or raise the threshold of the class"
            )
    return warnings
