"""What a node answered for one frame, in terms that golden files and comparisons share."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.types import Box, Metres
from zs_seg_ros.vocabulary.vocabulary import TargetClass

Setting = bool | int | float | str

EXEMPLARS = "exemplars"
"""The setting that is no parameter: how many example images the classes have; a golden file does not keep them."""


@dataclass(frozen=True, eq=False)
class FoundObject:
    """One object. score: 0..1. mask: (box.height, box.width) bool. track_id: 0 when it is not tracked."""

    class_name: str
    score: float
    box: Box
    mask: NDArray[np.bool_]
    track_id: int = 0
    position_m: Metres | None = None

    @property
    def area(self) -> int:
        """Pixels in the mask."""
        return int(np.count_nonzero(self.mask))


@dataclass(frozen=True, eq=False)
class FrameResult:
    """What was found in the index-th image of a camera.

    label: (H, W) uint16; 0 is nothing, n the n-th name (from 1) of the list of classes that goes with this result.
    """

    camera: str
    index: int
    stamp_ns: int
    label: NDArray[np.uint16]
    objects: tuple[FoundObject, ...] = ()


@dataclass(frozen=True)
class CameraSettings:
    """How a camera was listened to. depth_transport: None without depth."""

    name: str
    transport: str
    depth_transport: str | None


@dataclass(frozen=True)
class RunSettings:
    """What results were made with. settings: the node's parameters that change results, and EXEMPLARS."""

    recording: str
    model: str
    classes: tuple[TargetClass, ...]
    cameras: tuple[CameraSettings, ...]
    every: int = 1
    settings: dict[str, Setting] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(target.name for target in self.classes)


class Identities:
    """Numbers a camera's track ids by their first appearance: a node that has run before answers with others."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}

    def number(self, track_id: int) -> int:
        """0 stays 0."""
        if track_id == 0:
            return 0
        return self._numbers.setdefault(track_id, len(self._numbers) + 1)
