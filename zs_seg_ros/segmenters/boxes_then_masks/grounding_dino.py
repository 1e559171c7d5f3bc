# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Grounding DINO: phrases to boxes (Liu et al. 2023, arXiv 2303.05499), and MM Grounding DINO (arXiv 2401.02361).

It loads any checkpoint of transformers' `GroundingDinoForObjectDetection`, such as
IDEA-Research/grounding-dino-tiny, or `MMGroundingDinoForObjectDetection`.

Several phrases are joined to one caption, as in the model's training and evaluation: "red mug. blue car.". The model
fuses text and image features, and so a phrase's scores depend a little on which others are in its caption, though not
on their order. A caption holds 256 tokens, about 60 phrases of two or three words. More phrases are split into several
captions. Each takes most of the time of an image again, since all but the image encoder runs for each caption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from transformers import (
    BertTokenizer,
    GroundingDinoForObjectDetection,
    MMGroundingDinoForObjectDetection,
)
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import (
    GroundingDinoImageProcessorPil,
)

from zs_seg_ros.errors import ModelError, VocabularyError
from zs_seg_ros.segmenters.boxes_then_masks.boxes import Boxes
from zs_seg_ros.segmenters.boxes_then_masks.captions import split_into_captions
from zs_seg_ros.segmenters.boxes_then_masks.detr_detector import DetrDetector
from zs_seg_ros.segmenters.boxes_then_masks.detr_images import (
    DetrFormat,
    load_detr_format,
    to_corners,
)
from zs_seg_ros.segmenters.boxes_then_masks.grounding_dino_network import (
    GroundingDinoNetwork,
    ImageFeatures,
    TextFeatures,
)
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.shared.checkpoint import model_type
from zs_seg_ros.segmenters.shared.input_size import choose_input_size
from zs_seg_ros.segmenters.shared.pretrained import load_model, load_tokenizer
from zs_seg_ros.segmenters.shared.prompt_cache import PromptCache
from zs_seg_ros.segmenters.shared.prompt_tokenizer import PromptTokenizer
from zs_seg_ros.shown import quoted

_KINDS = {
    "grounding-dino": GroundingDinoForObjectDetection,
    "mm-grounding-dino": MMGroundingDinoForObjectDetection,
}
_DEFAULT_FORMAT = DetrFormat((800, 1333), keep_shape=True)  # of the authors and the published file
_CAPTIONS_KEPT = 32  # about 1 MB each
_IMAGES_PER_BATCH = 4  # on a GPU; bounds the memory, since an image has 22,000 cells

Tokens = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Caption:
    """Phrases that go through the model together.

    text: the features of the caption. spans: for each phrase the index of its first token in the caption and of the one
    after its last. prompt_index: (P,) int64 on the CPU, the index of each phrase among all.
    """

    text: TextFeatures
    spans: tuple[tuple[int, int], ...]
    prompt_index: Tensor


class GroundingDinoDetector(DetrDetector[Caption]):
    """Grounding DINO or MM Grounding DINO from a checkpoint folder in the format of transformers.

    The score of a phrase is the maximum over its tokens; full stops do not count.
    """

    takes_input_size = True

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        super().__init__("grounding-dino", model, options, _IMAGES_PER_BATCH)
        kind = _KINDS[model_type(model, folder)]
        loaded = load_model(kind, model, folder, torch.float32).to(self._device)
        tokenizer = load_tokenizer(BertTokenizer, model, folder)
        self._tokenizer = PromptTokenizer(
            tokenizer, model, loaded.config.text_config.vocab_size, loaded.config.max_text_len
        )
        self._start: int = tokenizer.cls_token_id
        self._end: int = tokenizer.sep_token_id
        self._full_stop: int = tokenizer.convert_tokens_to_ids(".")
        self._unknown: int = tokenizer.unk_token_id
        self._captions = PromptCache[tuple[Tokens, ...], TextFeatures](_CAPTIONS_KEPT)
        self._format = load_detr_format(
            GroundingDinoImageProcessorPil, model, folder, _DEFAULT_FORMAT
        )
        self._format = replace(
            self._format,
            size=choose_input_size(model, options.inference_size, self._format.size),
        )
        self._delimiters = frozenset(loaded.model.special_tokens.tolist())
        self._check(loaded)
        self.network = GroundingDinoNetwork(loaded, self._dtype, options.compile)

    def _check(self, loaded: GroundingDinoForObjectDetection) -> None:
        """Raise ModelError when the parts of the checkpoint do not fit together."""
        config = loaded.config
        ends = {self._start, self._end, self._full_stop}
        if not ends <= self._delimiters:
            raise ModelError(
                f"the tokenizer of {self.model} has the delimiters {sorted(ends)} and the model "
                f"{sorted(self._delimiters)}: they do not belong together; fetch the checkpoint again"
            )
        if not (config.two_stage and config.embedding_init_target):
            raise ModelError(
                f"the config.json of {self.model} does not set two_stage and embedding_init_target, as all published "
                "checkpoints of Grounding DINO do; use a checkpoint that sets both"
            )

    @torch.inference_mode()
    def encode(self, prompts: Sequence[str]) -> tuple[Caption, ...]:
        """Join phrases to captions and encode those that the cache does not hold yet.

        Raises VocabularyError for a phrase that is too long for a caption, or has no word that the model knows.
        """
        tokens = [self._tokenize(prompt) for prompt in prompts]
        # Sorted, so that the order of the phrases does not decide which of them share a caption.
        captions = split_into_captions(sorted(set(tokens)), self._fits)
        features = self._captions.get(
            [tuple(caption) for caption in captions], self._encode_captions
        )
        return tuple(
            self._caption(caption, tokens, text)
            for caption, text in zip(captions, features, strict=True)
        )

    def encode_images(self, pixels: Tensor) -> ImageFeatures:
        """Encode normalised images, (B, 3, height, width), with Swin."""
        return self.network.encode_images(pixels)

    def logits_and_boxes(self, features: ImageFeatures, text: Caption) -> tuple[Tensor, Tensor]:
        """Return logits (B, Q, T) of tokens, and boxes (B, Q, 4) as centre, width and height in 0..1."""
        return self.network.detect(features, text.text)

    def _scores(self, logits: Tensor, text: Caption) -> Tensor:
        """Score each phrase in each query box by the maximum over the phrase's tokens."""
        return torch.stack([logits[..., a:b].amax(-1) for a, b in text.spans], dim=-1).sigmoid()

    def _postprocess(
        self,
        outputs: Sequence[tuple[Tensor, Tensor]],
        texts: Sequence[Caption],
        thresholds: Tensor,
        size: tuple[int, int],
    ) -> Boxes:
        """Apply the thresholds."""
        corners, scores, prompt_index = [], [], []
        for (score, boxes), caption in zip(outputs, texts, strict=True):
            query, prompt = (score >= thresholds[caption.prompt_index]).nonzero(as_tuple=True)
            corners.append(to_corners(boxes, size)[query])
            scores.append(score[query, prompt])
            prompt_index.append(caption.prompt_index[prompt])
        return Boxes(torch.cat(corners), torch.cat(scores), torch.cat(prompt_index))

    def _tokenize(self, prompt: str) -> Tokens:
        """Return the token ids of a phrase without delimiters, which would cut the phrase in two.

        Raises VocabularyError for a phrase that is too long for a caption, or has no word that the model knows.
        """
        ids = self._tokenizer.tokens(prompt.lower(), ends=False)
        tokens = tuple(token for token in ids if token not in self._delimiters)
        if set(tokens) <= {self._unknown}:
            raise VocabularyError(
                f"the phrase {quoted(prompt, 60)} has no word that {self.model} knows; say it in English words"
            )
        if not self._fits([tokens]):
            raise VocabularyError(
                f"the phrase {quoted(prompt, 60)} has {len(tokens)} tokens and {self.model} reads at most "
                f"{self._tokenizer.longest - 3}; say it in fewer words"
            )
        return tokens

    def _fits(self, prompts: Sequence[Tokens]) -> bool:
        """Return whether a caption holds the phrases, a full stop after each, and the start and end tokens."""
        return sum(len(prompt) + 1 for prompt in prompts) + 2 <= self._tokenizer.longest

    def _encode_captions(self, captions: Sequence[Sequence[Tokens]]) -> list[TextFeatures]:
        features = []
        for caption in captions:
            inside = [token for prompt in caption for token in (*prompt, self._full_stop)]
            ids = torch.tensor([[self._start, *inside, self._end]], device=self._device)
            features.append(self.network.encode_text(ids))
        return features

    def _caption(
        self, in_caption: Sequence[Tokens], prompts: Sequence[Tokens], text: TextFeatures
    ) -> Caption:
        """Locate the phrases of a caption.

        in_caption: the tokens of its phrases, in its order, without duplicates. prompts: the tokens of all phrases,
        perhaps with duplicates.
        """
        span_of: dict[Tokens, tuple[int, int]] = {}
        start = 1
        for prompt in in_caption:
            span_of[prompt] = start, start + len(prompt)
            start += len(prompt) + 1
        indices = [index for index, prompt in enumerate(prompts) if prompt in span_of]
        return Caption(
            text,
            tuple(span_of[prompts[index]] for index in indices),
            torch.tensor(indices),
        )
