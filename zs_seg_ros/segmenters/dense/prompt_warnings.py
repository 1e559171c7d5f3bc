# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Warnings about the words of a prompt: which ones the network does not know, and what it does with them.

What an unknown word changes follows from the embeddings alone: the prompt means the same where it is embedded nearly as
without the word. `benchmarks/vocabulary_warnings.py` measures on images how often the warnings are true.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.segmenters.dense.network import DenseNetwork
from zs_seg_ros.segmenters.dense.words import split_words
from zs_seg_ros.segmenters.shared.prompts import similarity_warnings
from zs_seg_ros.shown import quoted
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

_SAME_MEANING = 0.85
"""A cosine above which are the pairs of synonyms that `tabletop` confuses; the closest other pair has 0.82."""
_UNCHANGED = 0.92
"""A cosine above which a prompt has nearly the same mask with and without a word."""


def prompt_warnings(model: str, network: DenseNetwork, prompt: str) -> list[str]:
    """Warn of unknown words, of attributes that are left out, and of more words than the network reads."""
    words, unknown = split_words(prompt), network.unknown_words(prompt)
    listed = ", ".join(map(quoted, unknown)) or "a single word"
    warnings = []
    if not words or not _is_known(network, prompt):
        warnings.append(
            f"the model {model} does not know {listed} in {quoted(prompt)}; expect no mask or a wrong one"
        )
    elif unknown:
        known = " ".join(word for word in words if word not in unknown)
        warnings.append(
            f"the model {model} does not know {listed} in {quoted(prompt)}; expect nearly the mask of {quoted(known)}"
        )
    if ignored := network.rules.ignored_in(words):
        warnings.append(
            f"the model {model} does not distinguish {', '.join(map(quoted, ignored))} in {quoted(prompt)}; "
            f"expect the same mask as without"
        )
    if len(words) > network.config.max_words:
        warnings.append(
            f"the model {model} reads only the first {network.config.max_words} words of {quoted(prompt)}"
        )
    return warnings


def pair_warnings(
    vocabulary: Vocabulary,
    network: DenseNetwork,
    prompts: Sequence[str],
    class_of_prompt: Sequence[int],
    embeddings: Sequence[Tensor],
) -> list[str]:
    """Warn of classes whose prompts mean nearly the same; prompts that the network does not know are left out."""
    kept = [i for i, prompt in enumerate(prompts) if _is_known(network, prompt)]
    if not kept:
        return []
    classes = tuple(class_of_prompt[i] for i in kept)
    rows = torch.cat([embeddings[i] for i in kept])
    return similarity_warnings(vocabulary, classes, rows, _SAME_MEANING)


def _is_known(network: DenseNetwork, prompt: str) -> bool:
    """Return whether the prompt is embedded nearly as without its unknown words."""
    unknown = network.unknown_words(prompt)
    known = [word for word in split_words(prompt) if word not in unknown]
    if not unknown or not known:
        return bool(known)
    device = network.text.words.weight.device
    rows = network.text(network.tokenize([prompt, " ".join(known)]).to(device))
    return float(functional.cosine_similarity(rows[0], rows[1], dim=0)) > _UNCHANGED
