# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Florence-2 checkpoints with random weights, and BART's tokenizer with tokens for locations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import (
    BartTokenizer,
    Florence2Config,
    Florence2ForConditionalGeneration,
    GenerationConfig,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from zs_seg_ros.segmenters.shared.image_tensors import IMAGENET_MEAN, IMAGENET_STD
from zs_seg_ros.testing.clipseg import byte_symbols

_START, _PADDING, _END, _UNKNOWN, _MASK, _IMAGE = (
    "<s>",
    "<pad>",
    "</s>",
    "<unk>",
    "<mask>",
    "<image>",
)
_MARKERS = ("<od>", "</od>", "<poly>", "</poly>", "<sep>", "<ground>")
_LOCATIONS = tuple(f"<loc_{number}>" for number in range(1000))

_ANSWER = ("text", "low", "low", "high", "high") * 2 + ("end",)
"""The role of each token of an answer after its start: twice a phrase and a box (left, top, right, bottom), the end."""
_ROLES = ("text", "low", "high", "end")


def published_florence2_config() -> Florence2Config:
    """The shape of florence-community/Florence-2-base: 0.23 billion parameters."""
    text = {
        "model_type": "bart",
        "vocab_size": 51328,
        "d_model": 768,
        "encoder_layers": 6,
        "decoder_layers": 6,
        "encoder_ffn_dim": 3072,
        "decoder_ffn_dim": 3072,
        "encoder_attention_heads": 12,
        "decoder_attention_heads": 12,
        "max_position_embeddings": 1024,
    }
    return Florence2Config(text_config=text, vision_config={"projection_dim": 768})


def small_florence2_config() -> Florence2Config:
    """The same architecture, small enough for a test to run in milliseconds; images of 64x64."""
    text = {
        "model_type": "bart",
        "vocab_size": 1344,
        "d_model": 32,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "max_position_embeddings": 320,
    }
    vision = {
        "depths": [1, 1, 1, 1],
        "embed_dim": [8, 16, 16, 32],
        "num_heads": [1, 2, 2, 2],
        "num_groups": [1, 2, 2, 2],
        "window_size": 4,
        "projection_dim": 32,
    }
    return Florence2Config(text_config=text, vision_config=vision)


def write_florence2(
    folder: Path,
    config: Florence2Config,
    image_side: int = 768,
    words: Sequence[str] = (),
    seed: int = 0,
) -> Florence2ForConditionalGeneration:
    """Write a checkpoint with random weights to `folder` and return the model, which answers with two boxes.

    image_side: the side of the square that images are resized to. words: words that the tokenizer encodes as one token
    each, as it does common words in BART's own vocabulary.
    """
    tokenizer = write_bart_tokenizer(folder, config.text_config.vocab_size, words)
    config.image_token_id = tokenizer.convert_tokens_to_ids(_IMAGE)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Florence2ForConditionalGeneration(config).eval()
        _shape_answers(model, tokenizer)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.eos_token_id,
        forced_bos_token_id=tokenizer.bos_token_id,
        forced_eos_token_id=tokenizer.eos_token_id,
        no_repeat_ngram_size=3,
        num_beams=3,
        early_stopping=True,
    )
    model.save_pretrained(folder)
    CLIPImageProcessorPil(
        size={"height": image_side, "width": image_side},
        do_center_crop=False,
        image_mean=IMAGENET_MEAN,
        image_std=IMAGENET_STD,
        image_seq_length=1 + (image_side // 32) ** 2,
    ).save_pretrained(folder)
    return model


def write_published(folder: Path, words: Sequence[str]) -> None:
    """Write florence-community/Florence-2-base with random weights."""
    write_florence2(folder, published_florence2_config(), words=words)


def write_bart_tokenizer(
    folder: Path, vocabulary_size: int, words: Sequence[str] = ()
) -> BartTokenizer:
    """Write BART's byte-level tokenizer with a small vocabulary and Florence-2's tokens, and return it.

    The vocabulary has all bytes, `words` with and without a space in front, 1000 locations and some markers. Raises
    ValueError when `vocabulary_size` is too small for them.
    """
    symbols = byte_symbols()
    space = symbols[ord(" ")]
    vocabulary = [_START, _PADDING, _END, _UNKNOWN, *symbols]
    merges = []
    for word in (spaced for plain in words for spaced in (space + plain, plain)):
        joined, *letters = [*word]
        for letter in letters:
            merges.append((joined, letter))
            joined += letter
            vocabulary.append(joined)
    vocabulary = list(dict.fromkeys([*vocabulary, _MASK]))
    tokenizer = BartTokenizer(
        vocab={token: i for i, token in enumerate(vocabulary)},
        merges=list(dict.fromkeys(merges)),
        extra_special_tokens={"image_token": _IMAGE},
    )
    tokenizer.add_special_tokens({"extra_special_tokens": [*_LOCATIONS, *_MARKERS]})
    if len(tokenizer) > vocabulary_size:
        raise ValueError(
            f"{len(words)} words need a vocabulary of {len(tokenizer)} tokens, not {vocabulary_size}"
        )
    tokenizer.save_pretrained(folder)
    return tokenizer


@torch.no_grad()
def _shape_answers(model: Florence2ForConditionalGeneration, tokenizer: BartTokenizer) -> None:
    """Let each answer be two phrases with a box each, whose tokens depend on the image and the phrase.

    Random weights would answer with any tokens. Here the first values of an embedding are the role of its token, which
    the position in the answer decides, and the others choose among the tokens of that role.
    """
    language = model.model.language_model
    for module in model.modules():
        if isinstance(module, nn.Linear) and module is not model.lm_head:
            module.reset_parameters()  # otherwise the answer would hardly depend on image and phrase
    embeddings, positions = language.shared.weight, language.decoder.embed_positions.weight
    nn.init.normal_(embeddings)
    nn.init.normal_(positions, std=0.1)
    roles = slice(len(_ROLES))
    embeddings[:, roles] = 0
    for role, tokens in _tokens_of_roles(tokenizer).items():
        embeddings[tokens, _ROLES.index(role)] = 1
    first = 1 + language.decoder.embed_positions.offset  # before it is the start
    for place in range(first, len(positions)):
        role = (*_ANSWER, "end")[min(place - first, len(_ANSWER))]
        positions[place, _ROLES.index(role)] = 40
    for layer in (*language.encoder.layers, *language.decoder.layers):
        # Each token attends to few others: of a mean over all, every phrase would have nearly the same.
        attention = getattr(layer, "encoder_attn", layer.self_attn)
        attention.q_proj.weight.mul_(30)
        attention.k_proj.weight.mul_(30)
    for layer in language.decoder.layers:
        layer.encoder_attn.out_proj.weight.mul_(12)
        for output in (layer.self_attn.out_proj, layer.encoder_attn.out_proj, layer.fc2):
            output.weight[roles], output.bias[roles] = 0, 0
    weights = language.decoder.layers[-1].final_layer_norm.weight
    weights.fill_((32 / len(weights)) ** 0.5)  # logits of the same range at any width
    weights[roles] = 20
    model.tie_weights()


def _tokens_of_roles(tokenizer: BartTokenizer) -> dict[str, Tensor]:
    """Return the ids of the tokens of each role."""
    locations = torch.tensor(tokenizer.convert_tokens_to_ids(list(_LOCATIONS)))
    space = byte_symbols()[ord(" ")]
    text = [
        number
        for token, number in tokenizer.get_vocab().items()
        if (token.isascii() and token.isalpha()) or token.startswith(space)
    ]
    return {
        "text": torch.tensor(text),
        "low": locations[:500],
        "high": locations[500:],
        "end": torch.tensor([tokenizer.eos_token_id]),
    }
