"""What all segmenters that run on torch have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

import torch

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.base import EncodedVocabulary, Features, Segmenter
from zs_seg_ros.segmenters.shared.per_image_threads import PerImageThreads
from zs_seg_ros.types import Batch, Segmentation, size_of


class TorchSegmenter(Segmenter[Features]):
    """Gives GPU memory back, and survives when there is too little of it."""

    _per_image_threads: PerImageThreads | None = None

    def use_per_image_threads(self) -> None:
        """From now on let each image of a batch have a core of its own, where there are several."""
        if torch.get_num_threads() > 1:
            self._per_image_threads = PerImageThreads(torch.get_num_threads())

    @torch.inference_mode()
    def segment(self, batch: Batch, encoded: EncodedVocabulary[Features]) -> list[Segmentation]:
        if not encoded.vocabulary.classes:
            return [Segmentation.empty(size_of(image)) for image in batch.images]
        found: list[Segmentation] = []
        if self._per_image_threads is not None:
            one_by_one = [replace(batch, images=(image,)) for image in batch.images]
            found = self._per_image_threads.map(
                lambda one: self.segment(one, encoded)[0], one_by_one
            )
        rest = batch.images[len(found) :]
        return found + self._segment(replace(batch, images=rest), encoded) if rest else found

    @abstractmethod
    def _segment(self, batch: Batch, encoded: EncodedVocabulary[Features]) -> list[Segmentation]:
        """As `segment`, with at least one class."""

    def recover(self, error: Exception) -> Exception:
        if not isinstance(error, torch.OutOfMemoryError):
            return error
        error.__traceback__ = None  # its frames hold the tensors that filled the memory
        self._empty_cache()
        return ModelError(
            f"{self.device} is out of memory with the model {self.model}; give fewer classes, smaller images, "
            "precision fp16 or a smaller model"
        )

    def close(self) -> None:
        for name in [name for name in vars(self) if name not in ("model", "device")]:
            delattr(self, name)
        self._empty_cache()

    def _empty_cache(self) -> None:
        if self.device != "cpu":
            torch.cuda.empty_cache()
