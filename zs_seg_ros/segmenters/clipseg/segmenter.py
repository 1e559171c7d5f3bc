# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""CLIPSeg: prompts or example images to masks (Lüddecke & Ecker 2022, arXiv 2112.10003).

Loads any checkpoint of transformers' `CLIPSegForImageSegmentation`, such as CIDAS/clipseg-rd64-refined.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPSegForImageSegmentation
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.base import EncodedVocabulary, SharedSpace
from zs_seg_ros.segmenters.clipseg.network import ClipSegNetwork
from zs_seg_ros.segmenters.clipseg.visual_prompt import visual_prompt
from zs_seg_ros.segmenters.deadline import check_time
from zs_seg_ros.segmenters.engines.parts import Exportable, NetworkPart
from zs_seg_ros.segmenters.kept_images import encoded_once
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.shared.class_logits import ClassLogits, class_logits
from zs_seg_ros.segmenters.shared.device import choose_device, choose_precision, precision_name
from zs_seg_ros.segmenters.shared.exemplars import rows_by_class
from zs_seg_ros.segmenters.shared.features import feature_grid, unit_rows, with_features
from zs_seg_ros.segmenters.shared.image_tensors import IMAGENET_MEAN, IMAGENET_STD, prepare
from zs_seg_ros.segmenters.shared.input_size import choose_input_size
from zs_seg_ros.segmenters.shared.label_image import pending_label_image
from zs_seg_ros.segmenters.shared.pretrained import (
    ImageFormat,
    load_image_format,
    load_model,
)
from zs_seg_ros.segmenters.shared.prompt_cache import PromptCache
from zs_seg_ros.segmenters.shared.prompt_tokenizer import load_clip_tokenizer
from zs_seg_ros.segmenters.shared.prompts import class_chunks, flat_prompts, similarity_warnings
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.segmenters.shared.torch_segmenter import TorchSegmenter
from zs_seg_ros.segmenters.shared.transfers import Pending, finished
from zs_seg_ros.shared_space import FeatureGrid
from zs_seg_ros.types import Batch, RgbImage, Segmentation
from zs_seg_ros.vocabulary.vocabulary import Exemplar, Vocabulary

# The authors' training and the published preprocessor_config.json: ImageNet's mean and standard deviation.
_DEFAULT_FORMAT = ImageFormat((352, 352), IMAGENET_MEAN, IMAGENET_STD)

# Not measured on published weights, which the tests do not have: CLIP embeds all texts in a narrow cone (Liang et al.
# 2022, "Mind the Gap"), so that only a cosine near 1 means that two prompts are synonyms.
_SAME_MEANING = 0.95


@dataclass(frozen=True, eq=False)
class ClipSegFeatures:
    """Embeddings `conditional` (P, D), one row per prompt, negative or exemplar.

    class_of_row[i] is the index of the class of row i, is_negative[i] whether it wins against that class; the rows of a
    class follow each other.
    """

    conditional: Tensor
    class_of_row: tuple[int, ...]
    is_negative: tuple[bool, ...]


class ClipSegSegmenter(TorchSegmenter[ClipSegFeatures], SharedSpace, Exportable):
    """Segments images with a CLIPSeg checkpoint in the format of transformers.

    Its shared space is CLIP's own: the text embeddings that condition the decoder, and the image encoder's patches.
    """

    takes_input_size = True
    prompts_are_independent = True

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        self.model = model
        device = choose_device(options.device)
        self.device = str(device)
        self._dtype = choose_precision(options, device, "clipseg")
        self.precision = precision_name(self._dtype)
        loaded = load_model(CLIPSegForImageSegmentation, model, folder, self._dtype)
        self._tokenizer = load_clip_tokenizer(model, folder, loaded.config.text_config)
        self._prompts = PromptCache[str, Tensor]()
        self._format = load_image_format(ViTImageProcessorPil, model, folder, _DEFAULT_FORMAT)
        self._check(loaded)
        patch: int = loaded.config.vision_config.patch_size
        self._input_size = choose_input_size(
            model, options.inference_size, self._format.size, multiple=patch, least=2 * patch
        )
        self._clip = loaded.to(device).clip
        self.network = ClipSegNetwork(loaded, options.compile)
        self._mean = torch.tensor(self._format.mean, device=device)
        self._std = torch.tensor(self._format.std, device=device)

    def _check(self, loaded: CLIPSegForImageSegmentation) -> None:
        """Raise ModelError when the files of the checkpoint do not fit together."""
        config, text = loaded.config, loaded.config.text_config
        # Published checkpoints say 2, an error that transformers works around.
        if text.eos_token_id not in (2, self._tokenizer.end):
            raise ModelError(
                f"the tokenizer of {self.model} ends a prompt with token {self._tokenizer.end} and the "
                f"model expects {text.eos_token_id}; fetch the checkpoint again"
            )
        height, width = self._format.size
        if height != width:
            raise ModelError(
                f"{self.model} asks for images of {width}x{height}; CLIPSeg's decoder takes square ones only"
            )
        layers, depth = config.vision_config.num_hidden_layers, len(config.extract_layers)
        if max(config.extract_layers) >= layers or config.conditional_layer >= depth:
            raise ModelError(
                f"the config.json of {self.model} asks for layers that the model does not have: extract_layers "
                f"{list(config.extract_layers)} of {layers}, conditional_layer {config.conditional_layer} of {depth}"
            )

    @torch.inference_mode()
    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary[ClipSegFeatures]:
        """Encode each prompt with the text encoder and each exemplar with the image encoder.

        Raises VocabularyError for a prompt with more tokens than the model reads.
        """
        flat = flat_prompts(vocabulary)
        of_prompts = self._prompts.get(flat.prompts, self._encode_prompts)
        by_class = rows_by_class(vocabulary, of_prompts, self._encode_exemplar)
        no_rows = torch.zeros(0, self._clip.config.projection_dim, device=self.device)
        features = ClipSegFeatures(
            torch.cat(by_class.rows) if by_class.rows else no_rows,
            by_class.class_of_row,
            by_class.is_negative,
        )
        positives = [row for row, negative in enumerate(features.is_negative) if not negative]
        warnings = similarity_warnings(
            vocabulary,
            tuple(features.class_of_row[row] for row in positives),
            features.conditional[positives],
            _SAME_MEANING,
        )
        return EncodedVocabulary(vocabulary, features, tuple(warnings))

    def _segment(
        self, batch: Batch, encoded: EncodedVocabulary[ClipSegFeatures]
    ) -> list[Segmentation]:
        encoded_images, hidden = encoded_once(
            self, batch.images, lambda: self._encode_images(batch.images)
        )
        results = [
            self._decode(encoded_image, size, batch, encoded)
            for encoded_image, size in zip(encoded_images, batch.sizes, strict=True)
        ]
        if batch.features:
            with stage("encode"):
                grids = self.network.patches(hidden)
            results = [
                with_features(result, self.model, grid)
                for result, grid in zip(results, grids, strict=True)
            ]
        with stage("finish"):
            return finished(results)

    def _encode_images(self, images: Sequence[RgbImage]) -> tuple[Tensor, Tensor]:
        with stage("prepare"):
            pixels = self._prepare(images, self._input_size)
        with stage("encode"):
            return self.network.encode_images_further(pixels)

    @torch.inference_mode()
    def embed_prompts(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        """Embed each prompt as CLIP does."""
        return unit_rows(torch.cat(self._prompts.get(prompts, self._encode_prompts)))

    @torch.inference_mode()
    def embed_image(self, image: RgbImage) -> FeatureGrid:
        """Compute one vector for each patch of an image."""
        pixels = self._prepare([image], self._input_size)
        _, hidden = self.network.encode_images_further(pixels)
        return feature_grid(self.model, self.network.patches(hidden)[0])

    def network_parts(self) -> Sequence[NetworkPart]:
        """Return the image encoder, at the model's input size, and the decoder."""
        return self.network.parts(self._input_size[0])

    @torch.inference_mode()
    def logits(self, pixel_values: Tensor, features: Tensor) -> Tensor:
        """Compute the logits, (B, P, S, S) float32, of prepared images (B, 3, S, S) and features (P, D)."""
        encoded_images = self.network.encode_images(pixel_values)
        return torch.stack([self.network.decode(image, features) for image in encoded_images])

    def _decode(
        self,
        encoded_image: Tensor,
        size: tuple[int, int],
        batch: Batch,
        encoded: EncodedVocabulary[ClipSegFeatures],
    ) -> Pending:
        chunks = self._logits_of_classes(encoded_image, encoded.features)
        vocabulary = encoded.vocabulary
        with stage("finish"):
            return pending_label_image(
                chunks, size, batch.thresholds, vocabulary.label_ids, vocabulary.precedence
            )

    def _logits_of_classes(
        self, encoded_image: Tensor, features: ClipSegFeatures
    ) -> Iterator[ClassLogits]:
        """Decode one image to logits (k, h, w) of some classes at a time: all of a large vocabulary fill the memory."""
        for rows in class_chunks(features.class_of_row):
            check_time()
            with stage("decode"):
                logits = self.network.decode(encoded_image, features.conditional[rows])
            yield class_logits(logits, features.class_of_row[rows], features.is_negative[rows])

    def _prepare(self, images: Sequence[RgbImage], size: tuple[int, int]) -> Tensor:
        return prepare(images, size, self._mean, self._std, self._dtype, self._format.resample)

    def _encode_prompts(self, prompts: Sequence[str]) -> Sequence[Tensor]:
        """Embed each prompt as (1, D)."""
        rows: list[Tensor] = []
        for ids in self._tokenizer.batches(prompts):
            rows += self._clip.get_text_features(ids.to(self.device)).pooler_output.split(1)
        return rows

    def _encode_exemplar(self, exemplar: Exemplar) -> Tensor:
        """Embed an exemplar as (1, D), at the checkpoint's own size: it takes time once, not for every image."""
        image = exemplar.image
        if exemplar.mask is not None:
            image = visual_prompt(image, exemplar.mask, self._format.mean)
        pixels = self._prepare([image], self._format.size)
        features: Tensor = self._clip.get_image_features(pixels).pooler_output
        return features
