"""What all segmenters that run on torch have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

import torch

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.base import EncodedVocabulary, Features, Segmenter
from zs_seg_ros.segmenters.shared.per_image_threads import SideBySide
from zs_seg_ros.types import Batch, Segmentation, size_of


class TorchSegmenter(Segmenter[Features]):
    """Gives GPU memory back, and survives when there is too little of it."""

    _side_by_side: SideBySide | None = None

    def put_pictures_side_by_side(self) -> None:
        """From now on let each picture of a batch have a core of its own, where there are several."""
        if torch.get_num_threads() > 1:
            self._side_by_side = SideBySide(torch.get_num_threads())

    @torch.inference_mode()
    def segment(self, batch: Batch, encoded: EncodedVocabulary[Features]) -> list[Segmentation]:
        if not encoded.vocabulary.classes:
            return [Segmentation.nothing(size_of(picture)) for picture in batch.pictures]
        found: list[Segmentation] = []
        if self._side_by_side is not None:
            one_by_one = [replace(batch, pictures=(picture,)) for picture in batch.pictures]
            found = self._side_by_side.map(lambda one: self.segment(one, encoded)[0], one_by_one)
        rest = batch.pictures[len(found) :]
        return found + self._segment(replace(batch, pictures=rest), encoded) if rest else found

    @abstractmethod
    def _segment(self, batch: Batch, encoded: EncodedVocabulary[Features]) -> list[Segmentation]:
        """As `segment`, with at least one class."""

    def recover(self, error: Exception) -> Exception:
        if not isinstance(error, torch.OutOfMemoryError):
            return error
        error.__traceback__ = None  # its frames hold the tensors that filled the memory
        self._empty_cache()
        return ModelError(
            f"{self.device} is out of memory with the model {self.model}; give fewer classes, smaller pictures, "
            "precision fp16 or a smaller model"
        )

    def close(self) -> None:
        for name in [name for name in vars(self) if name not in ("model", "device")]:
            delattr(self, name)
        self._empty_cache()

    def _empty_cache(self) -> None:
        if self.device != "cpu":
            torch.cuda.empty_cache()
