"""Phrases to token ids: whole or refused, by several threads."""

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

_PROMPTS_PER_BATCH = (
    64  # bounds the memory that a vocabulary of thousands takes while it is encoded
)


class PromptTokenizer:
    """A tokenizer of transformers, and what a model can read of what it makes."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, model: str, embeddings: int, longest: int
    ) -> None:
        """embeddings: how many tokens the model knows. longest: how many it reads at once, those at the ends included.

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
        self._in_use = threading.Lock()  # it is not made for several threads

    def tokens(self, text: str, *, ends: bool = True) -> list[int]:
        """Ids of any length. ends: with the tokens that the model expects at both ends."""
        with self._in_use:
            read = self._tokenizer(text, add_special_tokens=ends, verbose=False)
        ids: list[int] = read["input_ids"]
        return ids

    def prompt(self, prompt: str) -> list[int]:
        """Ids with both ends. Raises VocabularyError for a phrase that is longer than the model reads."""
        ids = self.tokens(prompt)
        if len(ids) > self.longest:
            # Refused, not cut: what is cut off may be the very words that say which thing is meant.
            raise VocabularyError(
                f"the phrase {prompt[:60]!r}… has {len(ids) - 2} tokens and {self._model} reads at most "
                f"{self.longest - 2}; say it in fewer words"
            )
        return ids

    def batches(self, prompts: Sequence[str]) -> Iterator[Tensor]:
        """(N, L) int64, for a text encoder that only looks back and so needs no mask for what fills up a phrase.

        Raises VocabularyError as `prompt` does, before the first batch.
        """
        tokens = [self.prompt(prompt) for prompt in prompts]
        for start in range(0, len(tokens), _PROMPTS_PER_BATCH):
            part = tokens[start : start + _PROMPTS_PER_BATCH]
            yield filled(part, self.end)


def load_clip_tokenizer(
    model: str, folder: Path, text_config: Any, longest: int | None = None
) -> PromptTokenizer:
    """That of a checkpoint with CLIP's text encoder. longest: where the model reads less than `text_config` says.

    Raises ModelError when it is missing, damaged or that of another model.
    """
    return PromptTokenizer(
        load_tokenizer(CLIPTokenizer, model, folder),
        model,
        text_config.vocab_size,
        longest or text_config.max_position_embeddings,
    )


def filled(rows: Sequence[Sequence[int]], fill: int, length: int = 0) -> Tensor:
    """(N, L) int64: rows filled up at their ends, to `length` or the longest of them."""
    length = max(length, *map(len, rows))
    return torch.tensor([[*row, *[fill] * (length - len(row))] for row in rows])
