# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The network of the dense embedding models, which embeds images and prompts in one space.

An image encoder computes one embedding per two-by-two pixels, a text encoder one per prompt, and their product is the
logit (the idea of LSeg, Li et al. 2022, "Language-driven semantic segmentation"), once for shape and once for colour.
The text encoder is a weighted sum over whole words.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from zs_seg_ros.segmenters.dense.config import RULE_LISTS, DenseConfig
from zs_seg_ros.segmenters.dense.image_encoder import ImageEncoder
from zs_seg_ros.segmenters.dense.support import with_support
from zs_seg_ros.segmenters.dense.words import WordRules, split_words

PADDING, UNKNOWN = 0, 1
"""Token ids that no word has; the ids of words follow in the order of `DenseConfig.words`."""
_CONTEXT_DIM = 8


class TextEncoder(nn.Module):
    """Embeds tokens (K, L) int64 as (K, D + 2): the sum of the words' embeddings, and two offsets of the logits.

    In a sum a word contributes the same in every prompt, also in pairs that are missing from the training data. The
    weight of a word depends on the word that follows: in "teddy bear", two words together mean what each means alone.
    """

    def __init__(self, config: DenseConfig) -> None:
        super().__init__()
        count = len(config.words) + 2
        self.words = nn.Embedding(count, config.embedding_dim + 2, padding_idx=PADDING)
        self.before = nn.Embedding(count, _CONTEXT_DIM)
        self.after = nn.Embedding(count, _CONTEXT_DIM)
        nn.init.normal_(self.words.weight, std=0.05)
        with torch.no_grad():
            self.words.weight[PADDING] = 0.0

    def forward(self, tokens: Tensor) -> Tensor:
        """Embed tokens (K, L) int64 as (K, D + 2)."""
        following = functional.pad(tokens[:, 1:], (0, 1), value=PADDING)
        agreement = (self.before(tokens) * self.after(following)).sum(dim=-1, keepdim=True)
        return (self.words(tokens) * torch.sigmoid(2.0 + agreement)).sum(dim=1)  # type: ignore[no-any-return]


class DenseNetwork(nn.Module):
    """Both encoders, and the product of their embeddings to logits."""

    def __init__(self, config: DenseConfig) -> None:
        super().__init__()
        self.config = config
        self.image = ImageEncoder(config)
        self.text = TextEncoder(config)
        # Added to a prompt's offsets: most pixels show no object, and a prompt without a colour fits every colour.
        self.bias = nn.Parameter(torch.tensor([-4.0, 4.0]))
        self._token = {word: i + 2 for i, word in enumerate(config.words)}
        self.rules = WordRules(
            frozenset(config.words),
            *(frozenset(getattr(config, name)) for name in RULE_LISTS),
        )

    def tokenize(self, prompts: Sequence[str]) -> Tensor:
        """Tokenize prompts to ids (K, L) int64, by `rules`: UNKNOWN for unknown words, none beyond `max_words`."""
        rows = [
            [self._token.get(word, UNKNOWN) for word in self.rules.normalised(self.words_of(p))]
            or [UNKNOWN]
            for p in prompts
        ]
        length = max(len(row) for row in rows)
        return torch.tensor([row + [PADDING] * (length - len(row)) for row in rows])

    def words_of(self, prompt: str) -> list[str]:
        """List the words of a prompt that the model reads."""
        return split_words(prompt)[: self.config.max_words]

    def unknown_words(self, prompt: str) -> list[str]:
        """List the words of a prompt that have no meaning to the model, in order."""
        return self.rules.unknown_in(split_words(prompt))

    def logits(self, pixels: Tensor, prompts: Tensor) -> Tensor:
        """Compute logits of shape (B, K, h, w) from pixel embeddings (B, D, h, w) and text embeddings (K, D + 2)."""
        return self.joined(*self.shape_and_colour(pixels, prompts))

    @staticmethod
    def joined(shape_logits: Tensor, colour_logits: Tensor) -> Tensor:
        """Join the logits of shapes and of colours, of equal form.

        A prompt fits where both its shape and its colour fit: the probability is about the product of both. In a sum
        of logits a confident "duck" would outvote an uncertain "red".
        """
        return -torch.logaddexp(-shape_logits, -colour_logits)

    def shape_and_colour(self, pixels: Tensor, prompts: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the logits (B, K, h, w) of the prompts' shapes and of their colours, for `joined`."""
        shape_dim = self.config.embedding_dim - self.config.colour_dim
        sizes = [shape_dim, self.config.colour_dim]
        shape_pixels, colour_pixels = torch.split(pixels, sizes, dim=1)
        shape, colour, offsets = torch.split(prompts, [*sizes, 2], dim=1)
        shape_offset, colour_offset = (offsets + self.bias).unbind(dim=1)
        return (
            functional.conv2d(shape_pixels, shape[:, :, None, None], shape_offset),
            functional.conv2d(colour_pixels, colour[:, :, None, None], colour_offset),
        )

    def supported(self, logits: Tensor) -> Tensor:
        """Return logits (K, h, w) of prompts after `with_support`, where the configuration has its numbers."""
        return with_support(logits, *self.config.support) if self.config.support else logits
