# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Point clouds of any layout, written byte by byte."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField


def cloud(
    places: NDArray[Any],
    *,
    kind: str = "f4",
    big_endian: bool = False,
    offsets: tuple[int, int, int] = (0, 4, 8),
    point_step: int = 16,
    width: int | None = None,
    padding: int = 0,
) -> PointCloud2:
    """A message whose other bytes are 0xAB. places: (N, 3)."""
    width = len(places) if width is None else width
    height = len(places) // width if width else 1
    order = ">" if big_endian else "<"
    points = np.full((len(places), point_step), 0xAB, np.uint8)
    for column, offset in enumerate(offsets):
        values = np.ascontiguousarray(places[:, column].astype(order + kind))
        size = values.itemsize
        points[:, offset : offset + size] = values.view(np.uint8).reshape(-1, size)
    rows = np.full((height, width * point_step + padding), 0xCD, np.uint8)
    rows[:, : width * point_step] = points.reshape(height, -1)
    datatype = PointField.FLOAT64 if kind == "f8" else PointField.FLOAT32
    message = PointCloud2(
        height=height,
        width=width,
        point_step=point_step,
        row_step=rows.shape[1],
        is_bigendian=big_endian,
        fields=[
            PointField(name=name, offset=offset, datatype=datatype, count=1)
            for name, offset in zip("xyz", offsets, strict=True)
        ],
    )
    message.data = array("B", rows.tobytes())
    return message
