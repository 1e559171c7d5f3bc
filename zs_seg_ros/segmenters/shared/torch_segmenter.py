# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The common base of all segmenters that run on torch."""

from __future__ import annotations

from abc import abstractmethod

import torch

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.base import EncodedVocabulary, Features, Segmenter
from zs_seg_ros.segmenters.shared.one_core_threads import OneCoreThreads
from zs_seg_ros.types import Batch, Segmentation

_CPU_ALLOCATOR = "DefaultCPUAllocator"


class TorchSegmenter(Segmenter[Features]):
    """Runs inference mode and per-image threads, and handles GPU memory that has run out or is to be freed."""

    engine = "torch"
    _per_image_threads: OneCoreThreads | None = None

    def use_per_image_threads(self) -> None:
        """Run each image of a batch on a core of its own from now on, where there are several cores."""
        if torch.get_num_threads() > 1:
            self._per_image_threads = OneCoreThreads(torch.get_num_threads())

    @torch.inference_mode()
    def segment(self, batch: Batch, encoded: EncodedVocabulary[Features]) -> list[Segmentation]:
        """Return one segmentation per image, in order; empty ones for a vocabulary without classes."""
        if not encoded.vocabulary.classes:
            return [Segmentation.empty(size) for size in batch.sizes]
        in_threads: list[Segmentation] = []
        if self._per_image_threads is not None:
            single_images = [_part(batch, slice(i, i + 1)) for i in range(len(batch.images))]
            in_threads = self._per_image_threads.map(
                lambda single: self.segment(single, encoded)[0], single_images
            )
        rest = _part(batch, slice(len(in_threads), None))
        if not rest.images:
            return in_threads
        return in_threads + self._segment(rest, encoded)

    @abstractmethod
    def _segment(self, batch: Batch, encoded: EncodedVocabulary[Features]) -> list[Segmentation]:
        """Segment a batch as `segment` does, with at least one class and one image."""

    def recover(self, error: Exception) -> Exception:
        """Free GPU memory and return a ModelError if memory ran out; otherwise return the error."""
        if not _is_out_of_memory(error):
            return error
        error.__traceback__ = None  # its frames hold the tensors that filled the memory
        self._empty_cache()
        return ModelError(
            f"{self.device} is out of memory with the model {self.model}; give fewer classes, smaller images, "
            "precision fp16 or a smaller model"
        )

    def close(self) -> None:
        """Drop the model and free its GPU memory."""
        for name in [name for name in vars(self) if name not in ("model", "device")]:
            delattr(self, name)
        self._empty_cache()

    def _empty_cache(self) -> None:
        if self.device != "cpu":
            torch.cuda.empty_cache()


def _is_out_of_memory(error: Exception) -> bool:
    """Return whether the memory of the GPU or of the CPU ran out, for which torch has no exception of its own."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and _CPU_ALLOCATOR in str(error)


def _part(batch: Batch, indices: slice) -> Batch:
    """Return the batch of some of the images."""
    return Batch(batch.images[indices], batch.thresholds, batch.sizes[indices], batch.features)
