# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Dense embedding models: the product of pixel embeddings and text embeddings is the mask.

The built-in model `tabletop` is of this family. The duration hardly depends on the number of classes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.base import EncodedVocabulary, SharedSpace
from zs_seg_ros.segmenters.dense.config import DenseConfig
from zs_seg_ros.segmenters.dense.examples import KnownShapes, example_logits, with_examples
from zs_seg_ros.segmenters.dense.image_encoder import fold_batch_norm
from zs_seg_ros.segmenters.dense.network import DenseNetwork
from zs_seg_ros.segmenters.dense.parts import dense_parts
from zs_seg_ros.segmenters.dense.prompt_warnings import pair_warnings, prompt_warnings
from zs_seg_ros.segmenters.dense.working_size import (
    SIZE_MULTIPLE_PX,
    size_of_short_side,
    working_size,
)
from zs_seg_ros.segmenters.engines.parts import Exportable, NetworkPart, Run
from zs_seg_ros.segmenters.kept_images import encoded_once
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.shared.checkpoint import read_config
from zs_seg_ros.segmenters.shared.class_logits import ClassLogits, class_logits
from zs_seg_ros.segmenters.shared.compiled import Compiled
from zs_seg_ros.segmenters.shared.device import choose_device, choose_precision, precision_name
from zs_seg_ros.segmenters.shared.example_pooling import pooled_example
from zs_seg_ros.segmenters.shared.example_warnings import background_warnings, share_beside
from zs_seg_ros.segmenters.shared.exemplars import rows_by_class
from zs_seg_ros.segmenters.shared.features import feature_grid, unit_rows, with_features
from zs_seg_ros.segmenters.shared.image_tensors import prepare
from zs_seg_ros.segmenters.shared.input_size import choose_input_size
from zs_seg_ros.segmenters.shared.label_image import pending_label_image
from zs_seg_ros.segmenters.shared.pretrained import check_weights
from zs_seg_ros.segmenters.shared.prompt_cache import PromptCache
from zs_seg_ros.segmenters.shared.prompts import (
    class_chunks,
    flat_prompts,
)
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.segmenters.shared.torch_segmenter import TorchSegmenter
from zs_seg_ros.segmenters.shared.transfers import Pending, finished
from zs_seg_ros.shared_space import FeatureGrid
from zs_seg_ros.shown import described
from zs_seg_ros.types import Batch, RgbImage, Segmentation, size_of
from zs_seg_ros.vocabulary.vocabulary import Exemplar, Vocabulary


@dataclass(frozen=True, eq=False)
class DenseFeatures:
    """Rows (P, D + 2), one per prompt or example image, the two last components of an example's without meaning.

    class_of_row[i]: the index of the class of row i. is_exemplar[i]: whether row i is of an example image.
    is_negative[i]: whether row i wins against its class. are_other: (P, W) bool, for the row of an example which of W
    known shapes are others than its own.
    """

    rows: Tensor
    are_other: Tensor
    class_of_row: tuple[int, ...]
    is_exemplar: tuple[bool, ...]
    is_negative: tuple[bool, ...]


class DenseSegmenter(TorchSegmenter[DenseFeatures], SharedSpace, Exportable):
    """Segments images with a dense embedding model from a folder with config.json and model.safetensors.

    Its shared space is that of the vectors whose products are its logits, shape and colour in one, without the
    offsets of a prompt.
    """

    takes_input_size = True
    prompts_are_independent = True

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        self.model = model
        self._device = choose_device(options.device)
        self._dtype = choose_precision(options, self._device, "dense")
        self.precision = precision_name(self._dtype)
        self.device = str(self._device)
        self._network = _load(model, folder).to(self._device)
        self.caution = self._network.config.caution
        self._short_side = options.inference_size and self._choose_short_side(options)
        fold_batch_norm(self._network.image)
        self._image: Callable[[Tensor], Tensor] = self._network.image.to(
            self._dtype, memory_format=torch.channels_last
        )  # type: ignore[call-overload]
        if options.compile:
            self._image = Compiled(self._image)
        self._logits: Callable[[Tensor, Tensor], Tensor] = self._network.logits
        self._known_shapes = KnownShapes(self._network)
        self._prompts = PromptCache[str, Tensor]()
        self._mean = torch.zeros(3, device=self._device)
        self._std = torch.ones(3, device=self._device)

    def network_parts(self) -> Sequence[NetworkPart]:
        """Return the image encoder and the decoder, for images of any size and any number of prompts."""
        return dense_parts(self._network, self._encode_with, self._decode_with)

    def _encode_with(self, run: Run) -> None:
        self._image = lambda pixels: run(pixels)[0]

    def _decode_with(self, run: Run) -> None:
        self._logits = lambda pixels, prompts: run(pixels, prompts)[0]

    def _choose_short_side(self, options: LoadOptions) -> int:
        """Raise ModelError unless images can have the requested short side. 4:3 images are `image_pixels` large."""
        own = round((self._network.config.image_pixels * 3 / 4) ** 0.5)
        short, _ = choose_input_size(
            self.model,
            options.inference_size,
            (own, own),
            multiple=SIZE_MULTIPLE_PX,
            least=2 * SIZE_MULTIPLE_PX,
        )
        return short

    @torch.inference_mode()
    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary[DenseFeatures]:
        """Embed each prompt and each example image, with warnings about unknown words and synonyms."""
        flat = flat_prompts(vocabulary)
        texts = self._prompts.get(flat.prompts, self._encode_prompts)
        none = torch.zeros(1, self._known_shapes.count, dtype=torch.bool, device=self._device)
        of_words = [(text, none, 0.0) for text in texts]
        by_class = rows_by_class(vocabulary, of_words, self._encode_exemplar)
        if not by_class.rows:
            nothing = DenseFeatures(torch.zeros(0, 0), none[:0], (), (), ())
            return EncodedVocabulary(vocabulary, nothing)
        warnings = [
            warning
            for prompt in flat.prompts
            for warning in prompt_warnings(self.model, self._network, prompt)
        ]
        warnings += pair_warnings(
            vocabulary,
            self._network,
            [flat.prompts[i] for i in flat.positives],
            [flat.class_of_prompt[i] for i in flat.positives],
            [texts[i] for i in flat.positives],
        )
        shares = [share for *_, share in by_class.rows]
        warnings += background_warnings(self.model, vocabulary, by_class, shares)
        features = DenseFeatures(
            torch.cat([row for row, *_ in by_class.rows]),
            torch.cat([are_other for _, are_other, _ in by_class.rows]),
            by_class.class_of_row,
            by_class.is_exemplar,
            by_class.is_negative,
        )
        return EncodedVocabulary(vocabulary, features, tuple(warnings))

    def _encode_exemplar(self, exemplar: Exemplar) -> tuple[Tensor, Tensor, float]:
        """Pool the features of an example image over its mask, with the width of a prompt's embedding: (1, D + 2).

        Returns also which known shapes are others than the example's, (1, W) bool, and its `share_beside`.
        """
        [pixels] = self._embed((exemplar.image,), self._size_for(*size_of(exemplar.image)))
        vector = pooled_example(feature_grid(self.model, pixels.permute(1, 2, 0)), exemplar)
        row = functional.pad(torch.from_numpy(vector).to(self._device), (0, 2))
        known = self._known_shapes.logits(pixels)
        others = self._known_shapes.are_other(known, exemplar)
        fits = example_logits(pixels, row[:, :-2], self._network.config, known, others)[0]
        return row, others, share_beside(fits.sigmoid().cpu().numpy(), exemplar)

    def _encode_prompts(self, prompts: Sequence[str]) -> Sequence[Tensor]:
        """Embed each prompt as (1, D + 2)."""
        tokens = self._network.tokenize(prompts).to(self._device)
        return torch.split(self._network.text(tokens), 1)

    def _segment(
        self, batch: Batch, encoded: EncodedVocabulary[DenseFeatures]
    ) -> list[Segmentation]:
        results: dict[int, Pending] = {}
        for size, indices in self._by_working_size(batch.images).items():
            images = [batch.images[i] for i in indices]
            for index, embedded in zip(indices, self._embed(images, size), strict=True):
                chunks = self._logits_of_classes(embedded, encoded.features)
                vocabulary = encoded.vocabulary
                with stage("finish"):
                    result = pending_label_image(
                        chunks,
                        batch.sizes[index],
                        batch.thresholds,
                        vocabulary.label_ids,
                        vocabulary.precedence,
                    )
                    if batch.features:
                        result = with_features(result, self.model, embedded.permute(1, 2, 0))
                results[index] = result
        with stage("finish"):
            return finished([results[i] for i in range(len(batch.images))])

    def _embed(self, images: Sequence[RgbImage], size: tuple[int, int]) -> Tensor:
        """Resize images to `size` and embed their pixels, (B, D, h, w) float32."""

        def embed() -> Tensor:
            with stage("prepare"):
                prepared = prepare(images, size, self._mean, self._std, self._dtype)
            with stage("encode"):
                pixels = self._image(prepared.to(memory_format=torch.channels_last))
                return pixels.float()

        return encoded_once(self, images, embed)

    @torch.inference_mode()
    def embed_prompts(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        """Embed each prompt as the sum of its words' embeddings."""
        rows = torch.cat(self._prompts.get(prompts, self._encode_prompts))
        return unit_rows(rows[:, : self._network.config.embedding_dim])

    @torch.inference_mode()
    def embed_image(self, image: RgbImage) -> FeatureGrid:
        """Compute one vector for each two-by-two pixels of the image at the model's size."""
        height, width = image.shape[:2]
        embedded = self._embed((image,), self._size_for(height, width))[0]
        return feature_grid(self.model, embedded.permute(1, 2, 0))

    def _logits_of_classes(self, pixels: Tensor, features: DenseFeatures) -> Iterator[ClassLogits]:
        """Compare pixel embeddings (D, h, w) with some classes at a time: logits (k, h, w) of all fill the memory."""
        for rows in class_chunks(features.class_of_row):
            with stage("decode"):
                logits = self._network.supported(self._logits(pixels[None], features.rows[rows])[0])
                examples = tuple(i for i, is_one in enumerate(features.is_exemplar[rows]) if is_one)
                if examples:
                    chosen = features.rows[rows], features.are_other[rows]
                    known, config = self._known_shapes.logits(pixels), self._network.config
                    logits = with_examples(logits, examples, pixels, *chosen, known, config)
            yield class_logits(logits, features.class_of_row[rows], features.is_negative[rows])

    def _size_for(self, height: int, width: int) -> tuple[int, int]:
        if self._short_side:
            return size_of_short_side(height, width, self._short_side)
        return working_size(height, width, self._network.config.image_pixels)

    def _by_working_size(self, images: tuple[RgbImage, ...]) -> dict[tuple[int, int], list[int]]:
        """Group the indices of images that are resized to the same size."""
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, image in enumerate(images):
            height, width = image.shape[:2]
            groups[self._size_for(height, width)].append(index)
        return groups


def _load(model: str, folder: Path) -> DenseNetwork:
    try:
        # Weights of the shapes that the configuration asks for are compared with the file's before they take memory.
        with torch.device("meta"):
            network = DenseNetwork(DenseConfig.of(read_config(model, folder)))
        network.load_state_dict(load_file(folder / "model.safetensors"), assign=True)
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"the checkpoint of {model} in {folder} cannot be loaded ({described(error)}); "
            f"fetch or train it again"
        ) from error
    check_weights(network, model, folder)
    return network.float().eval()
