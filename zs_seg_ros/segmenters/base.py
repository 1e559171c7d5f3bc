# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The interface that every family of models implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import ModelError
from zs_seg_ros.shared_space import FeatureGrid
from zs_seg_ros.types import Batch, RgbImage, Segmentation
from zs_seg_ros.vocabulary.vocabulary import Vocabulary
from zs_seg_ros.vocabulary.word_warnings import word_warnings

Features = TypeVar("Features")


@dataclass(frozen=True, eq=False)
class EncodedVocabulary(Generic[Features]):
    """A vocabulary with the features that one segmenter computed from it, once per change.

    features: of the family's own type, for example text embeddings. warnings: sentences for the person who set the
    vocabulary. in_force: the vocabulary that results belong to, where it has more classes than the model detects: those
    of kept objects that are followed without the model; None: `vocabulary`.
    """

    vocabulary: Vocabulary
    features: Features
    warnings: tuple[str, ...] = ()
    in_force: Vocabulary | None = None

    @property
    def of_results(self) -> Vocabulary:
        """Return the vocabulary that results belong to."""
        return self.in_force or self.vocabulary

    @property
    def all_warnings(self) -> tuple[str, ...]:
        """Return the warnings about the words that hold for every model, and then this model's own."""
        return (*word_warnings(self.vocabulary), *self.warnings)


class Segmenter(ABC, Generic[Features]):
    """Segments images by the classes of an encoded vocabulary.

    `encode` and `segment` may be called from several threads at once, and block until the result is there; nothing is
    called after `close`. A family's class is constructed with (model: str, folder: Path, options: LoadOptions), loads
    the model there, and raises ModelError or DeviceError where it cannot.
    """

    model: str
    """The model as the user named it."""
    device: str
    """The device that it runs on, for example 'cpu' or 'cuda:0'."""
    precision: str = ""
    """The precision of its floating-point numbers, for example 'fp32', of a pair both; empty where it is not known."""
    engine: str = ""
    """What computes its network: 'torch', or 'onnxruntime' with its providers; empty where it is not known."""
    caution: str = ""
    """A limitation that every user of this model must know, in one sentence; shown in the log and in diagnostics."""

    takes_input_size: ClassVar[bool] = False
    """Whether the family segments images at `LoadOptions.inference_size`, and refuses sizes that it cannot take."""

    prompts_are_independent: bool = False
    """Whether the computation for a prompt does not depend on which others there are, so that prompts that passed a
    trial need none in another vocabulary."""

    only_names: tuple[str, ...] = ()
    """The class names of a closed-set model; empty for a model that takes any words."""

    @abstractmethod
    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary[Features]:
        """Prepare a vocabulary. Raises VocabularyError when this model cannot search for it."""

    @abstractmethod
    def segment(self, batch: Batch, encoded: EncodedVocabulary[Features]) -> list[Segmentation]:
        """Return one segmentation per image, in order and of the size in `Batch.sizes`.

        A family may ignore smaller sizes: segmentations of the image's own size are reduced afterwards.
        """

    def use_per_image_threads(self) -> None:
        """Use one CPU core for each image of a batch from now on, where the family can; called once after loading."""

    def recover(self, error: Exception) -> Exception:
        """Turn an error of `encode` or `segment` into the one to report, and free memory if that ran out."""
        return error

    def close(self) -> None:
        """Free memory. The segmenter is not used afterwards."""


class SharedSpace(ABC):
    """Words and images in one space, offered by the segmenters of some families beside `Segmenter`.

    Their `segment` adds features to each segmentation where `Batch.features` requests them.
    """

    @abstractmethod
    def embed_prompts(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        """Embed at least one prompt as (N, D) float32, unit vectors, in order.

        Raises VocabularyError for a prompt with more tokens than the model reads.
        """

    @abstractmethod
    def embed_image(self, image: RgbImage) -> FeatureGrid:
        """Compute the features of one image, those that `segment` adds to its segmentation."""


def shared_space_of(segmenter: Segmenter[Any]) -> SharedSpace:
    """Return the shared space of a segmenter. Raises ModelError when it has none."""
    if isinstance(segmenter, SharedSpace):
        return segmenter
    raise ModelError(
        f"the model {segmenter.model} has no shared space of words and images; load a model of a family that has: "
        "CLIPSeg, TIPSv2 or dense embedding models such as tabletop"
    )
