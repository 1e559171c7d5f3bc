# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Florence-2: phrases, also with relations, to boxes (Xiao et al. 2023, arXiv 2311.06242).

It loads any checkpoint of transformers' `Florence2ForConditionalGeneration`, such as
florence-community/Florence-2-base-ft.

The model reads a request in words beside the image, "Locate the mug left of the plate in the image.", and writes an
answer: phrases, and after each the tokens of the corners of its boxes. It has no score; that of a box here is the
geometric mean of the probabilities of its four tokens. Each phrase is a request of its own for each image.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import BartTokenizer, Florence2ForConditionalGeneration
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from zs_seg_ros.errors import ModelError, VocabularyError
from zs_seg_ros.segmenters.boxes_then_masks.boxes import Boxes, Detector
from zs_seg_ros.segmenters.boxes_then_masks.florence2_answer import (
    BINS,
    AnswerTokens,
    parse_boxes,
)
from zs_seg_ros.segmenters.boxes_then_masks.florence2_network import (
    Florence2Network,
    GenerationRules,
)
from zs_seg_ros.segmenters.engines.parts import Exportable, NetworkPart
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.shared.checkpoint import read_config
from zs_seg_ros.segmenters.shared.device import choose_device, choose_precision, precision_name
from zs_seg_ros.segmenters.shared.image_tensors import IMAGENET_MEAN, IMAGENET_STD, prepare
from zs_seg_ros.segmenters.shared.pretrained import (
    ImageFormat,
    load_image_format,
    load_model,
    load_tokenizer,
)
from zs_seg_ros.segmenters.shared.prompt_cache import PromptCache
from zs_seg_ros.segmenters.shared.prompt_tokenizer import PromptTokenizer
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.segmenters.shared.transfers import uploaded
from zs_seg_ros.shown import quoted
from zs_seg_ros.types import RgbImage, size_of

_REQUEST = "Locate {} in the image."
"""What transformers' processor makes of the task <OPEN_VOCABULARY_DETECTION> and a phrase."""
_LONGEST_REQUEST = 100
"""Tokens of a request; one of many more would leave no room for a box in the answer, which repeats the phrase."""
_LONGEST_ANSWER = 256
"""Tokens of an answer, which bounds its time: about 40 boxes with a phrase of two tokens before each."""
_DEFAULT_FORMAT = ImageFormat((768, 768), IMAGENET_MEAN, IMAGENET_STD, "bicubic")


class Florence2Detector(Detector[tuple[Tensor, ...]], Exportable):
    """Florence-2 from a checkpoint folder in the format of transformers."""

    caution = (
        "this model cannot answer that a class is absent: it draws a box for nearly every phrase, and its scores are "
        "of the corners alone; ask for what is in the image, one image at a time, since each phrase takes a generation"
    )
    prompts_are_independent = True

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        self.model = model
        self._device = choose_device(options.device)
        self.device = str(self._device)
        self._dtype = choose_precision(options, self._device, "florence2")
        self.precision = precision_name(self._dtype)
        _check_layout(model, folder)
        loaded = load_model(Florence2ForConditionalGeneration, model, folder, self._dtype)
        loaded = loaded.to(self._device)
        self._format = load_image_format(CLIPImageProcessorPil, model, folder, _DEFAULT_FORMAT)
        tokenizer = load_tokenizer(BartTokenizer, model, folder)
        self._check_positions(loaded.config)
        vocabulary: int = loaded.config.text_config.vocab_size
        self._tokenizer = PromptTokenizer(tokenizer, model, vocabulary, _LONGEST_REQUEST)
        self._kinds = _kinds_of_tokens(model, tokenizer)
        self._requests = PromptCache[str, Tensor]()
        self._mean = torch.tensor(self._format.mean, device=self._device)
        self._std = torch.tensor(self._format.std, device=self._device)
        self.network = Florence2Network(loaded, _rules(model, loaded), options.compile)

    def network_parts(self) -> tuple[NetworkPart, ...]:
        """Return the image encoder, at the model's input size."""
        return (self.network.image_encoder(self._format.size),)

    def _check_positions(self, config: Any) -> None:
        """Raise ModelError where the model has no positions for the tokens of an image and of a request."""
        vision, text = config.vision_config, config.text_config
        height, width = self._format.size
        for kernel, stride, padding in zip(
            vision.patch_size, vision.patch_stride, vision.patch_padding, strict=True
        ):
            height, width = ((n + 2 * padding - kernel) // stride + 1 for n in (height, width))
        left: int = text.max_position_embeddings - height * width - 1
        if max(height, width) > vision.max_position_embeddings or left < _LONGEST_REQUEST:
            raise ModelError(
                f"the preprocessor of {self.model} makes images of {self._format.size[1]}x{self._format.size[0]}, and "
                "the model has no positions for so many tokens; fetch the checkpoint again"
            )

    def encode(self, prompts: Sequence[str]) -> tuple[Tensor, ...]:
        """Tokenize the request of each phrase: ids (1, T) int64 on the device.

        Raises VocabularyError for a phrase that is too long, or has a token that is no word, such as <loc_1>.
        """
        return tuple(self._requests.get(prompts, lambda new: [self._request(p) for p in new]))

    def _request(self, prompt: str) -> Tensor:
        ids = self._tokenizer.tokens(_REQUEST.format(prompt.strip()))
        special = self._kinds.markers | self._kinds.ends | self._kinds.locations.keys()
        if not special.isdisjoint(ids[1:-1]):
            raise VocabularyError(
                f"the phrase {quoted(prompt, 60)} has a marker that {self.model} does not read as words, such as "
                "<loc_1> or <s>; leave it out"
            )
        if len(ids) > self._tokenizer.longest:
            raise VocabularyError(
                f"the phrase {quoted(prompt, 60)} is too long: with the request around it it has {len(ids)} tokens "
                f"and {self.model} reads at most {self._tokenizer.longest}; say it in fewer words"
            )
        return uploaded(torch.tensor([ids]), self._device)

    @torch.inference_mode()
    def detect(
        self,
        images: Sequence[RgbImage],
        encoded: tuple[Tensor, ...],
        thresholds: NDArray[np.float32],
    ) -> list[Boxes]:
        """Return for each image the boxes of the answers whose score reaches the threshold of their phrase.

        Raises the error of this thread's time limit when it passes.
        """
        return [self._detect(image, encoded, thresholds.tolist()) for image in images]

    def prepare(self, image: RgbImage) -> Tensor:
        """Resize an image and normalise it, to (1, 3, height, width)."""
        size, how = self._format.size, self._format.resample
        return prepare([image], size, self._mean, self._std, self._dtype, how)

    def _detect(
        self, image: RgbImage, requests: tuple[Tensor, ...], thresholds: Sequence[float]
    ) -> Boxes:
        with stage("prepare"):
            pixels = self.prepare(image)
        with stage("encode"):
            features = self.network.encode_image(pixels)
        height, width = size_of(image)
        corners, scores, index = [], [], []
        with stage("decode"):
            for number, (request, threshold) in enumerate(zip(requests, thresholds, strict=True)):
                answer = self.network.answer(features, request)
                for box in parse_boxes(*answer, self._kinds):
                    if box.score >= threshold:  # not where it is NaN
                        corners.append(box.corners)
                        scores.append(box.score)
                        index.append(number)
        edges = torch.tensor([width, height, width, height])
        return Boxes(
            torch.tensor(corners).view(-1, 4) * edges,
            torch.tensor(scores, dtype=torch.float32),
            torch.tensor(index, dtype=torch.int64),
        )


def _check_layout(model: str, folder: Path) -> None:
    """Raise ModelError for the layout of the authors, whose weights have other names."""
    text = read_config(model, folder).get("text_config")
    if isinstance(text, dict) and text.get("model_type") == "florence2_language":
        raise ModelError(
            f"{model} is in the authors' own layout of Florence-2, which needs code from the hub; fetch the same "
            "weights in that of transformers, such as florence-community/Florence-2-base-ft"
        )


def _kinds_of_tokens(model: str, tokenizer: BartTokenizer) -> AnswerTokens:
    """Sort the special tokens. Raises ModelError for a tokenizer without locations."""
    special = {str(token): number for number, token in tokenizer.added_tokens_decoder.items()}
    names = [f"<loc_{number}>" for number in range(BINS)]
    missing = [name for name in names if name not in special]
    if missing:
        raise ModelError(
            f"the tokenizer of {model} has no token {missing[0]}, in which Florence-2 writes boxes; fetch the "
            "checkpoint again"
        )
    locations = {special[name]: number for number, name in enumerate(names)}
    ends = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
    others = set(special.values()) - ends - locations.keys()
    return AnswerTokens(locations, frozenset(ends), frozenset(others))


def _rules(model: str, loaded: Florence2ForConditionalGeneration) -> GenerationRules:
    """Read how a checkpoint generates from its generation_config.json, or else its config.json.

    Raises ModelError where it does not say how an answer starts and ends.
    """
    config = loaded.generation_config
    start = config.decoder_start_token_id
    given = config.eos_token_id
    ends = given if isinstance(given, list) else [given]
    if not (isinstance(start, int) and all(isinstance(end, int) for end in ends)):
        raise ModelError(
            f"the generation_config.json of {model} has {start} as decoder_start_token_id and {given} as eos_token_id; "
            "both must be numbers of tokens; fetch the checkpoint again"
        )
    first = config.forced_bos_token_id
    tokens = (start,) if first is None else (start, first)
    positions: int = loaded.config.text_config.max_position_embeddings
    longest = min(_LONGEST_ANSWER, positions - len(tokens))
    return GenerationRules(tokens, frozenset(ends), config.no_repeat_ngram_size or 0, longest)
