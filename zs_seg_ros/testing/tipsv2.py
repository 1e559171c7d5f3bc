# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""TIPSv2 checkpoints with random weights, and a tokenizer like SentencePiece's."""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from transformers import Tipsv2Config, Tipsv2Model
from transformers.models.tipsv2.tokenization_tipsv2 import Tipsv2Tokenizer

from zs_seg_ros.segmenters.tipsv2.segmenter import TEMPLATES

_SPACE = "▁"  # SentencePiece's character for the start of a word
_CHARACTERS = string.ascii_lowercase + string.digits + string.punctuation


def published_tipsv2_config(layers: int = 12) -> Tipsv2Config:
    """The shape of google/tipsv2-b14: transformers' defaults. With fewer layers a test takes less time."""
    depth = {"num_hidden_layers": layers}
    return Tipsv2Config(text_config=depth, vision_config=depth)


def published_tipsv2_l14_config(vision_layers: int = 24, text_layers: int = 12) -> Tipsv2Config:
    """The shape of google/tipsv2-l14. With fewer layers a test takes less time."""
    wide = {"hidden_size": 1024, "num_attention_heads": 16}
    return Tipsv2Config(
        text_config={**wide, "num_hidden_layers": text_layers, "intermediate_size": 4096},
        vision_config={**wide, "num_hidden_layers": vision_layers},
    )


def small_tipsv2_config(**vision_changes: object) -> Tipsv2Config:
    """The same architecture, small enough for a test to run in milliseconds; images of 56x56."""
    small = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
    return Tipsv2Config(
        text_config={**small, "intermediate_size": 48, "vocab_size": 400},
        vision_config={**small, "mlp_ratio": 2, "image_size": 56, **vision_changes},
        temperature_init_value=0.03,
    )


def write_tipsv2(
    folder: Path,
    config: Tipsv2Config,
    image_side: int = 448,
    words: Sequence[str] = (),
    seed: int = 0,
) -> Tipsv2Model:
    """Write a TIPSv2 checkpoint with random weights to `folder` and return the model.

    image_side: the side of the square that images are resized to. words: words that the tokenizer encodes as one token
    each.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Tipsv2Model(config).eval()
        _scale_outputs(model)
    model.save_pretrained(folder)
    write_tipsv2_tokenizer(folder, config.text_config.vocab_size, words)
    settings = {
        "do_convert_rgb": True,
        "do_normalize": False,
        "do_rescale": True,
        "do_resize": True,
        "image_processor_type": "Tipsv2ImageProcessor",
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": {"height": image_side, "width": image_side},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings, indent=2))
    return model


def write_published(folder: Path, words: Sequence[str]) -> None:
    """Write google/tipsv2-b14 with random weights; the words of its templates are one token each, too."""
    write_tipsv2(folder, published_tipsv2_config(), words=with_templates(words))


def with_templates(words: Sequence[str]) -> list[str]:
    """List words and those of the templates."""
    of_templates = {
        word.strip(".") for template in TEMPLATES for word in template.split() if "{" not in word
    }
    return sorted(of_templates.union(words))


def write_tipsv2_tokenizer(folder: Path, vocabulary_size: int, words: Sequence[str] = ()) -> None:
    """Write TIPSv2's tokenizer with a small vocabulary: bytes, ASCII without capitals, and `words`.

    Raises ValueError when `vocabulary_size` is too small for them.
    """
    tokens = ["<pad>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), _SPACE, *_CHARACTERS]
    merges = []
    for word in words:
        joined = _SPACE
        for character in word:
            merges.append((joined, character))
            joined += character
            tokens.append(joined)
    tokens = list(dict.fromkeys(tokens))
    unused = vocabulary_size - len(tokens)
    if unused < 0:
        raise ValueError(
            f"{len(words)} words need a vocabulary of {len(tokens)} tokens, not {vocabulary_size}"
        )
    tokens += [f"<unused{i}>" for i in range(unused)]
    ids = {token: i for i, token in enumerate(tokens)}
    Tipsv2Tokenizer(vocab=ids, merges=list(dict.fromkeys(merges))).save_pretrained(folder)


@torch.no_grad()
def _scale_outputs(model: Tipsv2Model) -> None:
    """Make the embeddings of patches and of phrases differ; with transformers' own initialisation they hardly do."""
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            module.reset_parameters()
    for text_layer in model.text_model.encoder.layers:
        text_layer.mlp.fc2.weight.mul_(4)
    model.text_model.embeddings.token_embedding.weight.normal_()
    patch = model.vision_model.embeddings.patch_embeddings.projection
    # Without the mean of the weights, embeddings do not depend on brightness.
    patch.weight.sub_(patch.weight.mean(dim=(1, 2, 3), keepdim=True)).mul_(8)
