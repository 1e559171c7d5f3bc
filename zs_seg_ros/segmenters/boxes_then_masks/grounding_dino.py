"""Grounding DINO: phrases to boxes (Liu et al. 2023, arXiv 2303.05499), and MM Grounding DINO (arXiv 2401.02361).

Any checkpoint of transformers' `GroundingDinoForObjectDetection`, such as IDEA-Research/grounding-dino-tiny, or
`MMGroundingDinoForObjectDetection`.

Several phrases make one caption, as the model was trained and is evaluated: "red mug. blue car.". The model fuses text
and image, and so a phrase's scores depend a little on which others are in its caption, though not on their order.
A caption holds 256 tokens, about 60 phrases of two or three words. More phrases make more captions, each of which costs
most of an image's time again: the image encoder alone is shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from zs_seg_ros.segmenters.shared.pretrained import load_model, load_tokenizer
from zs_seg_ros.segmenters.shared.prompt_cache import PromptCache
from zs_seg_ros.segmenters.shared.prompt_tokenizer import PromptTokenizer

_KINDS = {
    "grounding-dino": GroundingDinoForObjectDetection,
    "mm-grounding-dino": MMGroundingDinoForObjectDetection,
}
_DEFAULT_FORMAT = DetrFormat((800, 1333), keep_shape=True)  # the authors', and the published file's
_CAPTIONS_KEPT = 32  # about 1 MB each
_IMAGES_PER_BATCH = 4  # on a GPU; bounds the memory: an image has 22,000 cells

Tokens = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Caption:
    """Phrases that go through the model together.

    spans: for each phrase its first token in the caption and the one after its last. prompt_index: (P,) int64, the
    phrases' places among all.
    """

    text: TextFeatures
    spans: tuple[tuple[int, int], ...]
    prompt_index: Tensor


class GroundingDinoDetector(DetrDetector[Caption]):
    """A checkpoint of either kind from a folder in the format of transformers.

    A phrase's score is that of its most certain token, full stops left out.
    """

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        super().__init__(model, options, _IMAGES_PER_BATCH)
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
                f"the config.json of {self.model} has no two_stage or no embedding_init_target; all published "
                "checkpoints of Grounding DINO have both, and only such can be used"
            )

    @torch.inference_mode()
    def encode(self, prompts: Sequence[str]) -> tuple[Caption, ...]:
        """Captions and their text features.

        Raises VocabularyError for a phrase that is too long for a caption, or has no word that the model knows.
        """
        tokens = [self._tokenize(prompt) for prompt in prompts]
        # Sorted, so that it does not depend on the order of phrases which of them share a caption.
        captions = split_into_captions(sorted(set(tokens)), self._fits)
        read = self._captions.get([tuple(words) for words in captions], self._encode_captions)
        return tuple(
            self._caption(words, tokens, text) for words, text in zip(captions, read, strict=True)
        )

    def encode_images(self, pixels: Tensor) -> ImageFeatures:
        return self.network.encode_images(pixels)

    def logits_and_boxes(self, seen: ImageFeatures, text: Caption) -> tuple[Tensor, Tensor]:
        return self.network.detect(seen, text.text)

    def _boxes(
        self,
        answers: Sequence[tuple[Tensor, Tensor]],
        texts: Sequence[Caption],
        thresholds: Tensor,
        size: tuple[int, int],
    ) -> Boxes:
        """What an image's logits (Q, T) and boxes (Q, 4), of each caption, come to. size: (H, W) of the image."""
        corners, certain, prompt_index = [], [], []
        for (logits, boxes), caption in zip(answers, texts, strict=True):
            per_prompt = torch.stack([logits[:, a:b].amax(-1) for a, b in caption.spans], dim=1)
            scores = per_prompt.sigmoid()
            query, prompt = (scores >= thresholds[caption.prompt_index]).nonzero(as_tuple=True)
            corners.append(to_corners(boxes, size)[query])
            certain.append(scores[query, prompt])
            prompt_index.append(caption.prompt_index[prompt])
        return Boxes(torch.cat(corners), torch.cat(certain), torch.cat(prompt_index))

    def _tokenize(self, prompt: str) -> Tokens:
        """Without delimiters, which would cut the phrase in two."""
        ids = self._tokenizer.tokens(prompt.lower(), ends=False)
        tokens = tuple(token for token in ids if token not in self._delimiters)
        if set(tokens) <= {self._unknown}:
            raise VocabularyError(
                f"the phrase {prompt[:60]!r} has no word that {self.model} knows; say it in English words"
            )
        if not self._fits([tokens]):
            raise VocabularyError(
                f"the phrase {prompt[:60]!r}… has {len(tokens)} tokens and {self.model} reads at most "
                f"{self._tokenizer.longest - 3}; say it in fewer words"
            )
        return tokens

    def _fits(self, prompts: Sequence[Tokens]) -> bool:
        """Whether a caption holds the phrases, a full stop after each, and its two ends."""
        return sum(len(prompt) + 1 for prompt in prompts) + 2 <= self._tokenizer.longest

    def _encode_captions(self, captions: Sequence[Sequence[Tokens]]) -> list[TextFeatures]:
        read = []
        for words in captions:
            inside = [token for prompt in words for token in (*prompt, self._full_stop)]
            ids = torch.tensor([[self._start, *inside, self._end]], device=self._device)
            read.append(self.network.encode_text(ids))
        return read

    def _caption(
        self, words: Sequence[Tokens], prompts: Sequence[Tokens], text: TextFeatures
    ) -> Caption:
        """words: of the caption, all different. phrases: all, some perhaps alike."""
        span_of: dict[Tokens, tuple[int, int]] = {}
        start = 1
        for prompt in words:
            span_of[prompt] = start, start + len(prompt)
            start += len(prompt) + 1
        here = [index for index, prompt in enumerate(prompts) if prompt in span_of]
        return Caption(
            text,
            tuple(span_of[prompts[index]] for index in here),
            torch.tensor(here, device=self._device),
        )
