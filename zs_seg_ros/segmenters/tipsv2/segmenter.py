# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""TIPSv2: prompts to masks by the cosine of patch embeddings and text embeddings (Cao et al. 2026, arXiv 2604.12012).

Loads any checkpoint of transformers' `Tipsv2Model`, such as google/tipsv2-b14. The method is that of its authors'
notebook on zero-shot segmentation: of the last layer's attention only the values (the trick of MaskCLIP, arXiv
2112.01071), nine templates for each prompt, and the cosine between patch and text. The notebook slides a window over
larger images; here an image is resized to the model's own square, as transformers' processor does it.

Cosines are no probabilities, and a softmax over the classes would make each depend on the others. So each prompt is
compared with four words that fit anything, as LERF does it (Kerr et al. 2023, arXiv 2303.09553): the confidence is
the probability, by softmax at the temperature that the model was trained with, of the prompt against the best of
those four. At 0.5 the patch is as similar to the prompt as to "object". Begin with a threshold of 0.5; where too
much is detected take 0.9, which is a cosine 0.011 higher at the published temperature of 0.005, or 0.99, which is
0.023 higher. This confidence ranks pixels and prompts; how often it is right at a given value was not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import Tipsv2Model
from transformers.models.tipsv2.image_processing_tipsv2 import Tipsv2ImageProcessor

from zs_seg_ros.errors import ModelError, VocabularyError
from zs_seg_ros.segmenters.base import EncodedVocabulary, SharedSpace
from zs_seg_ros.segmenters.engines.parts import Exportable, NetworkPart, Run
from zs_seg_ros.segmenters.kept_images import encoded_once
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.shared.class_logits import class_logits
from zs_seg_ros.segmenters.shared.compiled import Compiled
from zs_seg_ros.segmenters.shared.constants import constant_integers
from zs_seg_ros.segmenters.shared.device import choose_device, choose_precision, precision_name
from zs_seg_ros.segmenters.shared.example_pooling import pooled_background, pooled_example
from zs_seg_ros.segmenters.shared.example_warnings import background_warnings, share_beside
from zs_seg_ros.segmenters.shared.exemplars import rows_by_class
from zs_seg_ros.segmenters.shared.features import feature_grid, unit_rows, with_features
from zs_seg_ros.segmenters.shared.image_tensors import prepare
from zs_seg_ros.segmenters.shared.input_size import choose_input_size
from zs_seg_ros.segmenters.shared.label_image import pending_label_image
from zs_seg_ros.segmenters.shared.pretrained import ImageFormat, load_image_format, load_model
from zs_seg_ros.segmenters.shared.prompt_cache import PromptCache
from zs_seg_ros.segmenters.shared.prompt_tokenizer import PromptTokenizer, padded
from zs_seg_ros.segmenters.shared.prompts import flat_prompts, similarity_warnings
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.segmenters.shared.torch_segmenter import TorchSegmenter
from zs_seg_ros.segmenters.shared.transfers import Pending, finished
from zs_seg_ros.segmenters.tipsv2.parts import tipsv2_part
from zs_seg_ros.segmenters.tipsv2.tokenizer import load_tipsv2_tokenizer
from zs_seg_ros.shared_space import FeatureGrid
from zs_seg_ros.shown import quoted
from zs_seg_ros.types import Batch, RgbImage, Segmentation
from zs_seg_ros.vocabulary.vocabulary import Exemplar, Vocabulary

TEMPLATES = (
    "itap of a {}.",
    "a bad photo of a {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
    "a photo of many {}.",
    "a photo of {}s.",
)
"""The templates of the authors' notebook, taken from TCL (Cha et al. 2023, arXiv 2212.00785)."""

ANYTHING = ("object", "things", "stuff", "texture")
"""LERF's prompts that fit any patch."""

_DEFAULT_FORMAT = ImageFormat((448, 448), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
_TEXTS_PER_BATCH = 72
"""Bounds the memory that the encoding of a vocabulary of thousands takes."""

_EXAMPLE_SCALE = 20.0
"""PANet's factor of cosines between patches and prototypes (Wang et al. 2019, arXiv 1908.06391)."""

_LEAST_EXAMPLE_COSINE = 0.5
"""A patch less similar than this to an example is no object of its class, also where the example has no background.
Not measured on published weights."""

# Not measured on published weights, which the tests do not have. The mean of `ANYTHING` is subtracted before.
_SAME_MEANING = 0.95


@dataclass(frozen=True, eq=False)
class Tipsv2Features:
    """Embeddings `rows` (P, D) of prompts and example images, and `anything` (4, D): unit vectors, float32.

    class_of_row[i]: the index of the class of rows[i]. is_exemplar[i]: whether rows[i] is of an example image.
    is_negative[i]: whether it wins against that class.
    background: (P, D), the vector beside the object of an example; zeros for one without a mask, and for a prompt.
    """

    rows: Tensor
    anything: Tensor
    class_of_row: tuple[int, ...]
    is_exemplar: tuple[bool, ...]
    is_negative: tuple[bool, ...]
    background: Tensor


class Tipsv2Segmenter(TorchSegmenter[Tipsv2Features], SharedSpace, Exportable):
    """Segments images with a TIPSv2 checkpoint in the format of transformers.

    Its shared space is that of the vectors whose cosines are its logits: patches, and prompts in nine templates.
    """

    takes_input_size = True
    prompts_are_independent = True

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        self.model = model
        device = choose_device(options.device)
        self.device = str(device)
        self._dtype = choose_precision(options, device, "tipsv2")
        self.precision = precision_name(self._dtype)
        loaded = load_model(Tipsv2Model, model, folder, self._dtype)
        text = loaded.config.text_config
        self._tokenizer = PromptTokenizer(
            load_tipsv2_tokenizer(model, folder),
            model,
            text.vocab_size,
            text.max_position_embeddings,
        )
        self._prompts = PromptCache[str, Tensor]()
        self._format = load_image_format(Tipsv2ImageProcessor, model, folder, _DEFAULT_FORMAT)
        self._check(loaded)
        patch: int = loaded.config.vision_config.patch_size
        self._input_size = choose_input_size(
            model, options.inference_size, self._format.size, multiple=patch, least=2 * patch
        )
        self.network = loaded.to(device)
        self._temperature = float(loaded.temperature)
        self._patches: Callable[[Tensor], Tensor]
        self._patches = Compiled(self._encode) if options.compile else self._encode
        self._mean = torch.tensor(self._format.mean, device=device)
        self._std = torch.tensor(self._format.std, device=device)

    def network_parts(self) -> tuple[NetworkPart, ...]:
        """Return the image encoder, at the model's input size."""
        vision = self.network.vision_model
        return (tipsv2_part(vision, self._encode_hidden, self._input_size, self._encode_with),)

    def _encode_with(self, run: Run) -> None:
        self._patches = lambda pixels: run(pixels)[0]

    def _check(self, loaded: Tipsv2Model) -> None:
        """Raise ModelError when the files of the checkpoint do not fit together."""
        height, width = self._format.size
        patch = loaded.config.vision_config.patch_size
        if height % patch or width % patch:
            raise ModelError(
                f"{self.model} asks for images of {width}x{height}, which are no whole patches of {patch}x{patch}"
            )

    @torch.inference_mode()
    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary[Tipsv2Features]:
        """Embed each prompt, in nine templates, and each example image.

        Raises VocabularyError for a prompt with more tokens than the model reads.
        """
        flat = flat_prompts(vocabulary)
        encoded = self._prompts.get((*ANYTHING, *flat.prompts), self._encode_prompts)
        anything, texts = torch.cat(encoded[: len(ANYTHING)]), encoded[len(ANYTHING) :]
        none = torch.zeros_like(anything[:1])
        of_words = [(text, none, 0.0) for text in texts]
        by_class = rows_by_class(vocabulary, of_words, self._encode_exemplar)
        rows, background = (
            torch.cat([anything[:0], *(row[:2][part] for row in by_class.rows)]) for part in (0, 1)
        )
        features = Tipsv2Features(
            rows,
            anything,
            by_class.class_of_row,
            by_class.is_exemplar,
            by_class.is_negative,
            background,
        )
        prompts = by_class.of_prompts()
        classes = tuple(by_class.class_of_row[row] for row in prompts)
        centred = rows[prompts] - anything.mean(dim=0)
        warnings = similarity_warnings(vocabulary, classes, centred, _SAME_MEANING)
        shares = [share for *_, share in by_class.rows]
        warnings += background_warnings(self.model, vocabulary, by_class, shares)
        return EncodedVocabulary(vocabulary, features, tuple(warnings))

    def _segment(
        self, batch: Batch, encoded: EncodedVocabulary[Tipsv2Features]
    ) -> list[Segmentation]:
        features, vocabulary = encoded.features, encoded.vocabulary
        patches = encoded_once(self, batch.images, lambda: self._encode_images(batch.images))
        with stage("decode"):
            logits = self.logits(patches, features)
        with stage("finish"):
            results: list[Pending] = []
            ids, precedence = vocabulary.label_ids, vocabulary.precedence
            for image_logits, grid, size in zip(logits, patches, batch.sizes, strict=True):
                chunk = class_logits(image_logits, features.class_of_row, features.is_negative)
                result = pending_label_image([chunk], size, batch.thresholds, ids, precedence)
                if batch.features:
                    result = with_features(result, self.model, grid)
                results.append(result)
            return finished(results)

    def _encode_images(self, images: Sequence[RgbImage]) -> Tensor:
        with stage("prepare"):
            pixels = self._prepare(images)
        with stage("encode"):
            return self.patches(pixels)

    @torch.inference_mode()
    def embed_prompts(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        """Embed each prompt as the mean over its templates."""
        return unit_rows(torch.cat(self._prompts.get(prompts, self._encode_prompts)))

    @torch.inference_mode()
    def embed_image(self, image: RgbImage) -> FeatureGrid:
        """Compute one vector for each patch of an image."""
        return feature_grid(self.model, self.patches(self._prepare((image,)))[0])

    def _prepare(self, images: Sequence[RgbImage]) -> Tensor:
        resample = self._format.resample
        return prepare(images, self._input_size, self._mean, self._std, self._dtype, resample)

    @torch.inference_mode()
    def patches(self, pixel_values: Tensor) -> Tensor:
        """Embed prepared images (B, 3, H, W) as one unit vector per patch, (B, H / patch, W / patch, D) float32."""
        side = self.network.config.vision_config.patch_size
        size = [length // side for length in pixel_values.shape[-2:]]
        patches: Tensor = self._patches(pixel_values).float()
        return functional.normalize(patches.view(len(patches), *size, -1), dim=-1)

    @torch.inference_mode()
    def logits(self, patches: Tensor, features: Tipsv2Features) -> Tensor:
        """Compute log odds (B, P, h, w) from patches (B, h, w, D).

        Those of a prompt are against the best of `ANYTHING`, those of an example against the vector beside the object.
        """
        against = (patches @ features.anything.T).amax(dim=-1, keepdim=True)
        similarity = patches @ features.rows.T
        odds = (similarity - against) / self._temperature
        if any(features.is_exemplar):
            beside = (patches @ features.background.T).clamp(min=_LEAST_EXAMPLE_COSINE)
            is_exemplar = constant_integers(features.is_exemplar, odds.device, torch.bool)
            odds = torch.where(is_exemplar, (similarity - beside) * _EXAMPLE_SCALE, odds)
        return odds.permute(0, 3, 1, 2)

    def _encode_exemplar(self, exemplar: Exemplar) -> tuple[Tensor, Tensor, float]:
        """Pool the features of an example image over its mask and beside it, (1, D) each; and its `share_beside`."""
        grid = self.embed_image(exemplar.image)
        marked, beside = pooled_example(grid, exemplar), pooled_background(grid, exemplar)
        fits = grid.values @ marked[0] - np.maximum(grid.values @ beside[0], _LEAST_EXAMPLE_COSINE)
        share = share_beside(1 / (1 + np.exp(-_EXAMPLE_SCALE * fits)), exemplar)
        of_object, of_rest = (torch.from_numpy(row).to(self.device) for row in (marked, beside))
        return of_object, of_rest, share

    def _encode(self, pixel_values: Tensor) -> Tensor:
        """Encode images (B, 3, H, W) to patches (B, N, D)."""
        return self._encode_hidden(self.network.vision_model.embeddings(pixel_values))

    def _encode_hidden(self, hidden: Tensor) -> Tensor:
        """Encode embeddings (B, 1 + registers + N, D) to patches; in the last layer a patch attends only to itself."""
        vision = self.network.vision_model
        *earlier, last = vision.encoder.layer
        for layer in earlier:
            hidden = layer(hidden)
        patches = hidden[:, 1 + vision.config.num_register_tokens :]
        values = last.attention.o_proj(last.attention.v_proj(last.norm1(patches)))
        patches = patches + last.layer_scale1(values)
        patches = patches + last.layer_scale2(last.mlp(last.norm2(patches)))
        normalised: Tensor = vision.layernorm(patches)
        return normalised

    def _encode_prompts(self, prompts: Sequence[str]) -> Sequence[Tensor]:
        """Embed each prompt as (1, D): the mean over its templates' unit vectors, scaled to a unit vector."""
        tokens = [self._tokenize(template, prompt) for prompt in prompts for template in TEMPLATES]
        rows = []
        for start in range(0, len(tokens), _TEXTS_PER_BATCH):
            chunk = tokens[start : start + _TEXTS_PER_BATCH]
            ids, mask = padded(chunk, 0), padded([[1] * len(row) for row in chunk], 0)
            text = self.network.get_text_features(ids.to(self.device), mask.to(self.device))
            rows.append(functional.normalize(text.pooler_output.float(), dim=-1))
        means = torch.cat(rows).view(len(prompts), len(TEMPLATES), -1).mean(dim=1)
        return torch.split(functional.normalize(means, dim=-1), 1)

    def _tokenize(self, template: str, prompt: str) -> list[int]:
        tokens = self._tokenizer.tokens(template.format(prompt))
        if len(tokens) > self._tokenizer.longest:
            raise VocabularyError(
                f"the phrase {quoted(prompt, 60)} makes a template of {len(tokens)} tokens and {self.model} reads "
                f"at most {self._tokenizer.longest}; say it in fewer words"
            )
        return tokens
