"""What detectors of DETR's kind have in common that read several phrases as one text of limited length."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zs_seg_ros.segmenters.boxes_then_masks.boxes import Boxes, Detector
from zs_seg_ros.segmenters.boxes_then_masks.detr_images import DetrFormat
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.shared.device import choose_device, choose_precision
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.types import RgbImage, size_of

Text = TypeVar("Text")


class DetrDetector(Detector[tuple[Text, ...]], Generic[Text]):
    """Text: phrases that go through the model together, whose answers depend a little on each other.

    Images of several sizes are not filled up to one, so that none depends on the others.
    """

    caution = "this model reads all classes as one text: the scores of one depend a little on which others there are"

    _format: DetrFormat

    def __init__(self, model: str, options: LoadOptions, images_per_batch: int) -> None:
        """images_per_batch: on a GPU; bounds the memory."""
        self.model = model
        self._device = choose_device(options.device)
        self.device = str(self._device)
        self._dtype = choose_precision(options, self._device)
        # A CPU gains nothing by more; another number of images would be compiled again.
        few = self._device.type == "cpu" or options.compile
        self._images_per_batch = 1 if few else images_per_batch

    @abstractmethod
    def encode_images(self, pixels: Tensor) -> Any:
        """Prepared images (B, 3, height, width) to what `logits_and_boxes` reads of them."""

    @abstractmethod
    def logits_and_boxes(self, seen: Any, text: Text) -> tuple[Tensor, Tensor]:
        """Logits (B, Q, tokens or phrases), and boxes (B, Q, 4) as centre, width and height in 0..1."""

    @abstractmethod
    def _boxes(
        self,
        answers: Sequence[tuple[Tensor, Tensor]],
        texts: Sequence[Text],
        thresholds: Tensor,
        size: tuple[int, int],
    ) -> Boxes:
        """What the answers of one image of `size` (H, W), one for each text, come to."""

    @torch.inference_mode()
    def detect(
        self,
        images: Sequence[RgbImage],
        encoded: tuple[Text, ...],
        thresholds: NDArray[np.float32],
    ) -> list[Boxes]:
        least = torch.from_numpy(thresholds).to(self._device)
        found: dict[int, Boxes] = {}
        for size, places in self._format.by_size(images, self._images_per_batch):
            same = [images[place] for place in places]
            with stage("prepare"):
                pixels = self._format.prepare(same, size, self._device, self._dtype)
            with stage("encode"):
                seen = self.encode_images(pixels)
            with stage("decode"):
                answers = [self.logits_and_boxes(seen, text) for text in encoded]
                for i, (place, image) in enumerate(zip(places, same, strict=True)):
                    one = [(logits[i], boxes[i]) for logits, boxes in answers]
                    found[place] = self._boxes(one, encoded, least, size_of(image))
        return [found[place] for place in range(len(images))]
