# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The base of DETR-like detectors that encode several phrases as one text of limited length."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zs_seg_ros.segmenters.boxes_then_masks.boxes import Boxes, Detector
from zs_seg_ros.segmenters.boxes_then_masks.detr_images import DetrFormat
from zs_seg_ros.segmenters.deadline import check_time
from zs_seg_ros.segmenters.finite import check_finite
from zs_seg_ros.segmenters.kept_images import encoded_once
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.shared.device import choose_device, choose_precision, precision_name
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.segmenters.shared.transfers import downloaded
from zs_seg_ros.types import RgbImage, size_of

Text = TypeVar("Text")


class DetrDetector(Detector[tuple[Text, ...]], Generic[Text]):
    """A DETR-like detector, whose decoder runs once for each image and text.

    Text: the encoding of phrases that go through the model together, and whose scores depend a little on each other.
    Images of different sizes are not padded to one size, so that the detections of none depend on the others.
    """

    caution = "this model reads all classes as one text: the scores of one depend a little on which others there are"

    _format: DetrFormat

    def __init__(
        self, family: str, model: str, options: LoadOptions, images_per_batch: int
    ) -> None:
        """Choose the device and the precision.

        family: a key of `CPU_PRECISIONS`.
        images_per_batch: the most images that a GPU encodes at once, which bounds the memory.
        """
        self.model = model
        self._device = choose_device(options.device)
        self.device = str(self._device)
        self._dtype = choose_precision(options, self._device, family)
        self.precision = precision_name(self._dtype)
        # A CPU gains nothing from batches, and each further batch size would be compiled.
        one_by_one = self._device.type == "cpu" or options.compile
        self._images_per_batch = 1 if one_by_one else images_per_batch

    @abstractmethod
    def encode_images(self, pixels: Tensor) -> Any:
        """Encode normalised images, (B, 3, height, width), to the features that `logits_and_boxes` takes."""

    @abstractmethod
    def logits_and_boxes(self, features: Any, text: Text) -> tuple[Tensor, Tensor]:
        """Return logits (B, Q, tokens or phrases), and boxes (B, Q, 4) as centre, width and height in 0..1."""

    @abstractmethod
    def _scores(self, logits: Tensor, text: Text) -> Tensor:
        """Return scores (B, Q, phrases of the text), 0..1, of logits (B, Q, tokens or phrases)."""

    @abstractmethod
    def _postprocess(
        self,
        outputs: Sequence[tuple[Tensor, Tensor]],
        texts: Sequence[Text],
        thresholds: Tensor,
        size: tuple[int, int],
    ) -> Boxes:
        """Return the boxes of one image of `size` (H, W) that reach the thresholds (P,) of their phrases, on the CPU.

        outputs: for each text the scores (Q, phrases of the text) and boxes (Q, 4) of the image, on the CPU.
        """

    def _outputs(self, features: Any, text: Text) -> Tensor:
        """Return boxes and scores (B, Q, 4 + phrases of the text), still on the device."""
        check_time()
        logits, boxes = self.logits_and_boxes(features, text)
        check_finite(logits)
        return torch.cat([boxes, self._scores(logits, text)], dim=-1)

    def _prepare_and_encode(self, images: Sequence[RgbImage], size: tuple[int, int]) -> Any:
        with stage("prepare"):
            pixels = self._format.prepare(images, size, self._device, self._dtype)
        with stage("encode"):
            return self.encode_images(pixels)

    @torch.inference_mode()
    def detect(
        self,
        images: Sequence[RgbImage],
        encoded: tuple[Text, ...],
        thresholds: NDArray[np.float32],
    ) -> list[Boxes]:
        """Return for each image the boxes whose score reaches the threshold of their phrase."""
        order: list[int] = []
        outputs: list[Tensor] = []
        for size, indices in self._format.by_size(images, self._images_per_batch):
            same_size = [images[index] for index in indices]
            encode = partial(self._prepare_and_encode, same_size, size)
            features = encoded_once(self, same_size, encode)
            with stage("decode"):
                outputs += [self._outputs(features, text) for text in encoded]
            order += indices
        with stage("decode"):
            by_text = _by_text(downloaded(outputs), len(encoded))
            limits = torch.from_numpy(thresholds)
            detections = {
                index: self._postprocess(of_image, encoded, limits, size_of(images[index]))
                for index, of_image in zip(order, by_text, strict=True)
            }
        return [detections[index] for index in range(len(images))]


def _by_text(outputs: Sequence[Tensor], texts: int) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Yield for each image the scores (Q, phrases) and boxes (Q, 4) of each text.

    outputs: (B, Q, 4 + phrases) for each of some batches of images and each text.
    """
    for start in range(0, len(outputs), texts):
        for of_image in zip(*outputs[start : start + texts], strict=True):
            yield [(output[:, 4:], output[:, :4]) for output in of_image]
