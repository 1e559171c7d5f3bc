# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Point clouds of LiDARs: coordinates out of a PointCloud2, and labels into a copy of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import ImageError
from zs_seg_ros.shown import quoted, shown

MOST_POINTS = 4_000_000
"""More points are refused: no LiDAR has them in one revolution."""

_FLOAT32, _FLOAT64 = 7, 8  # sensor_msgs/PointField
_UINT16, _UINT32 = 4, 6
_KINDS = {_FLOAT32: "f4", _FLOAT64: "f8"}


class AddedField(NamedTuple):
    """A field that labelled clouds have: its name, its datatype in sensor_msgs/PointField and its offset."""

    name: str
    datatype: int
    offset: int


@dataclass(frozen=True, eq=False)
class LabelledCloudData:
    """The data of a labelled cloud. added: the fields beside those of the original, whose offsets stay the same."""

    data: NDArray[np.uint8]
    point_step: int
    added: tuple[AddedField, ...]


def points_from_message(message: Any) -> NDArray[np.float32]:
    """Return (N, 3) float32: x, y and z of each point of a PointCloud2, row by row; NaN is allowed.

    Raises ImageError for a message without these fields, of a size that does not fit, or with too many points.
    """
    _check_size(message)
    fields = {field.name: field for field in message.fields}
    columns = []
    for name in ("x", "y", "z"):
        field = fields.get(name)
        kind = _KINDS.get(field.datatype) if field is not None else None
        if field is None or kind is None:
            names = ", ".join(map(quoted, list(fields)[:8])) or "none"
            raise ImageError(
                f"a point cloud needs the fields x, y and z as float32 or float64; this one has {names}"
            )
        if field.offset + np.dtype(kind).itemsize > message.point_step:
            raise ImageError(
                f"the field {name} of a point cloud is at byte {field.offset} of points of {message.point_step} bytes: "
                "have its driver correct the message"
            )
        columns.append(
            _column(message, field.offset, (">" if message.is_bigendian else "<") + kind)
        )
    with np.errstate(over="ignore"):
        points: NDArray[np.float32] = np.stack(columns, axis=1).astype(np.float32)
    return points


def with_labels(
    message: Any,
    label: NDArray[np.uint16],
    confidence: NDArray[np.float32],
    track_id: NDArray[np.uint32],
) -> LabelledCloudData:
    """Return the points of a PointCloud2 with three fields more: label, track_id and confidence, each (N,).

    The bytes of each point stay as they are; row padding is removed. Fields of these names that the cloud had
    before are to be left out of the list of fields.
    """
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.row_step)
    points = rows[:, : message.width * message.point_step].reshape(-1, message.point_step)
    start = -(-message.point_step // 4) * 4  # aligned, so that C++ can read it in place
    added = (
        AddedField("track_id", _UINT32, start),
        AddedField("confidence", _FLOAT32, start + 4),
        AddedField("label", _UINT16, start + 8),
    )
    step = start + 12
    order = ">" if message.is_bigendian else "<"
    data = np.zeros((len(points), step), np.uint8)
    data[:, : message.point_step] = points
    columns: tuple[NDArray[Any], ...] = (track_id, confidence, label)
    for field, values, kind in zip(added, columns, ("u4", "f4", "u2"), strict=True):
        column = np.ascontiguousarray(values.astype(order + kind)).view(np.uint8)
        width = np.dtype(kind).itemsize
        data[:, field.offset : field.offset + width] = column.reshape(-1, width)
    return LabelledCloudData(data.reshape(-1), step, added)


def _check_size(message: Any) -> None:
    count = message.height * message.width
    if count > MOST_POINTS:
        raise ImageError(f"a point cloud has {count} points; at most {MOST_POINTS} are accepted")
    needed = message.width * message.point_step
    if message.row_step < needed or message.height * message.row_step != len(message.data):
        raise ImageError(
            f"a point cloud of {message.width}x{message.height} points of {message.point_step} bytes has row_step "
            f"{shown(message.row_step)} and {len(message.data)} bytes: have its driver correct the message"
        )


def _column(message: Any, offset: int, kind: str) -> NDArray[Any]:
    """Return (N,): one field of all points."""
    if not message.height * message.width:
        return np.zeros(0, kind)
    return np.ndarray(
        (message.height, message.width),
        kind,
        buffer=memoryview(message.data),
        offset=offset,
        strides=(message.row_step, message.point_step),
    ).reshape(-1)
