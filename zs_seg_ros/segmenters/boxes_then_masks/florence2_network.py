# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Florence-2's forward pass in separate steps, and greedy generation with one download for each token.

transformers' `generate` encodes the image anew for each phrase, and waits for the device several times a token. Here
the image encoder runs once for all phrases, and the encoder and the decoder of the language model once for each. The
weights, and the tokens generated, are those of transformers' `generate` without beams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache, Florence2ForConditionalGeneration

from zs_seg_ros.segmenters.boxes_then_masks.florence2_answer import repeating
from zs_seg_ros.segmenters.deadline import check_time
from zs_seg_ros.segmenters.engines.parts import NetworkPart, Run, image_encoder
from zs_seg_ros.segmenters.finite import check_finite
from zs_seg_ros.segmenters.shared.compiled import Compiled
from zs_seg_ros.segmenters.shared.transfers import downloaded


@dataclass(frozen=True)
class GenerationRules:
    """How a checkpoint generates.

    start: the ids of the first tokens, which are given. ends: those that end an answer. unique: how many tokens in a
    row occur in an answer once at most; 0 for no such rule. longest: the most tokens of an answer.
    """

    start: tuple[int, ...]
    ends: frozenset[int]
    unique: int
    longest: int


class Florence2Network:
    """The network of Florence-2, on the weights of a model of transformers.

    compiled: whether the image encoder is compiled.
    """

    def __init__(
        self,
        model: Florence2ForConditionalGeneration,
        rules: GenerationRules,
        compiled: bool = False,
    ) -> None:
        self.model = model
        self._language = model.model.language_model
        self._rules = rules
        self._encode_image: Callable[[Tensor], Tensor] = self._features
        if compiled:
            self._encode_image = Compiled(self._features, dynamic=False)
        device = model.device
        self._start = torch.tensor([list(rules.start)], device=device)

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Encode a normalised image, (1, 3, height, width), to tokens of the language model, (1, N, D)."""
        return self._encode_image(pixels)

    def _features(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.model.model.get_image_features(pixels).pooler_output
        return features

    def image_encoder(self, size: tuple[int, int]) -> NetworkPart:
        """Return the image encoder for images of `size` (H, W)."""
        inner = self.model.model
        return image_encoder(
            "florence2_image_encoder",
            lambda pixels: (self._features(pixels),),
            nn.ModuleList([inner.vision_tower, inner.multi_modal_projector]),
            size,
            ("tokens",),
            self._encode_with,
        )

    def _encode_with(self, run: Run) -> None:
        self._encode_image = lambda pixels: run(pixels)[0]

    def answer(self, image: Tensor, request: Tensor) -> tuple[list[int], list[float]]:
        """Generate an answer: the ids of its tokens and the probability of each among all tokens.

        image: (1, N, D). request: ids (1, T) int64, with both ends. The first tokens, which are given, are not among
        those returned. Raises the error of this thread's time limit when it passes.
        """
        inputs = torch.cat([image, self.model.get_input_embeddings()(request)], dim=1)
        states = self._language.encoder(inputs_embeds=inputs).last_hidden_state
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        token, answer, probabilities = self._start, list(self._rules.start), []
        for _ in range(self._rules.longest):
            check_time()
            logits = self._logits(token, states, cache)
            check_finite(logits)
            excluded = repeating(answer, self._rules.unique)
            likely = logits.topk(1 + len(excluded))
            shares = (likely.values - logits.logsumexp(dim=-1, keepdim=True)).exp()
            ids, share_of = (t.tolist() for t in downloaded([likely.indices, shares]))
            first = _first_outside(ids, excluded)
            answer.append(ids[first])
            probabilities.append(share_of[first])
            if ids[first] in self._rules.ends:
                break
            token = likely.indices[first : first + 1][None]
        return answer[len(self._rules.start) :], probabilities

    def _logits(self, token: Tensor, states: Tensor, cache: EncoderDecoderCache) -> Tensor:
        """Return the logits (V,) float32 of the token after `token`, ids (1, T)."""
        new, known = token.shape[1], cache.get_seq_length()
        # Made here, since transformers waits for the device to learn that its own mask excludes nothing.
        mask = states.new_full((new, known + new), -torch.inf).triu(known + 1)[None, None]
        decoded = self._language.decoder(
            input_ids=token,
            attention_mask=mask,
            encoder_hidden_states=states,
            past_key_values=cache,
            use_cache=True,
        )
        logits: Tensor = self.model.lm_head(decoded.last_hidden_state[0, -1])
        return logits.float()


def _first_outside(ids: Sequence[int], excluded: set[int]) -> int:
    """Return the index of the first id that is not excluded; there is one."""
    return next(index for index, number in enumerate(ids) if number not in excluded)
