# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Tokenization of prompts, never truncated and thread-safe."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPTokenizer, PreTrainedTokenizerBase

from zs_seg_ros.errors import ModelError, VocabularyError
from zs_seg_ros.segmenters.shared.pretrained import load_tokenizer
from zs_seg_ros.shown import quoted

_PROMPTS_PER_BATCH = 64
"""Bounds the memory that the encoding of a vocabulary of thousands takes."""


class PromptTokenizer:
    """A tokenizer of transformers with the limits of the model that it serves."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, model: str, embeddings: int, longest: int
    ) -> None:
        """Wrap a tokenizer.

        embeddings: the size of the model's token table. longest: the most tokens of a prompt, both ends included.

        Raises ModelError when the tokenizer knows more tokens than the model.
        """
        if len(tokenizer) > embeddings:
            raise ModelError(
                f"the tokenizer of {model} has {len(tokenizer)} tokens and the model only {embeddings}: they do not "
                "belong together; fetch the checkpoint again"
            )
        self.size = len(tokenizer)
        self.end: int = tokenizer.eos_token_id
        self.longest = longest
        self._model = model
        self._tokenizer = tokenizer
        self._in_use = threading.Lock()  # transformers' tokenizers are not thread-safe

    def tokens(self, text: str, *, ends: bool = True) -> list[int]:
        """Tokenize a text of any length to ids. ends: whether to add the tokens that mark start and end."""
        with self._in_use:
            encoding = self._tokenizer(text, add_special_tokens=ends, verbose=False)
        ids: list[int] = encoding["input_ids"]
        return ids

    def prompt(self, prompt: str) -> list[int]:
        """Tokenize a prompt to ids, with both ends.

        Raises VocabularyError when it has more tokens than the model reads.
        """
        ids = self.tokens(prompt)
        if len(ids) > self.longest:
            # Refused, not truncated: the words that are cut off may be those that distinguish the object.
            raise VocabularyError(
                f"the phrase {quoted(prompt, 60)} has {len(ids) - 2} tokens and {self._model} reads at most "
                f"{self.longest - 2}; say it in fewer words"
            )
        return ids

    def batches(self, prompts: Sequence[str]) -> Iterator[Tensor]:
        """Yield batches of ids (N, L) int64, for a causal text encoder, which needs no mask for the padding at the end.

        Raises VocabularyError as `prompt` does, before the first batch.
        """
        tokens = [self.prompt(prompt) for prompt in prompts]
        for start in range(0, len(tokens), _PROMPTS_PER_BATCH):
            yield padded(tokens[start : start + _PROMPTS_PER_BATCH], self.end)


def load_clip_tokenizer(
    model: str, folder: Path, text_config: Any, longest: int | None = None
) -> PromptTokenizer:
    """Load the tokenizer of a checkpoint with CLIP's text encoder.

    longest: the most tokens of a prompt where that is less than `text_config` says. Raises ModelError when the
    tokenizer is missing, damaged or that of another model.
    """
    return PromptTokenizer(
        load_tokenizer(CLIPTokenizer, model, folder),
        model,
        text_config.vocab_size,
        longest or text_config.max_position_embeddings,
    )


def padded(rows: Sequence[Sequence[int]], fill: int, length: int = 0) -> Tensor:
    """Pad rows of ids with `fill` at their ends, to `length` or the longest of them: (N, L) int64."""
    length = max(length, *map(len, rows))
    return torch.tensor([[*row, *[fill] * (length - len(row))] for row in rows])
