# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""CLIPSeg checkpoints with random weights, and CLIP's tokenizer, which other families use too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPTokenizer
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

_START, _END = "<|startoftext|>", "<|endoftext|>"
_LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def published_clipseg_config() -> CLIPSegConfig:
    """The shape of CIDAS/clipseg-rd64-refined: transformers' defaults, patches of 16 and the refined head."""
    return CLIPSegConfig(
        vision_config={"patch_size": 16, "image_size": 224},
        extract_layers=[3, 6, 9],
        reduce_dim=64,
        use_complex_transposed_convolution=True,
    )


def small_clipseg_config(**changes: object) -> CLIPSegConfig:
    """The same architecture, small enough for a test to run in milliseconds; images of 64x64."""
    small = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    text = {"vocab_size": 600, "bos_token_id": 598, "eos_token_id": 599, "pad_token_id": 599}
    settings: dict[str, object] = {
        "text_config": {**small, **text, "num_hidden_layers": 2},
        "vision_config": {**small, "num_hidden_layers": 6, "patch_size": 16, "image_size": 32},
        "projection_dim": 24,
        "extract_layers": [1, 2, 3],
        "reduce_dim": 16,
        "decoder_num_attention_heads": 2,
        "decoder_intermediate_size": 48,
        "use_complex_transposed_convolution": True,
    }
    return CLIPSegConfig(**{**settings, **changes})


def write_clipseg(
    folder: Path,
    config: CLIPSegConfig,
    image_side: int = 352,
    words: Sequence[str] = (),
    seed: int = 0,
) -> CLIPSegForImageSegmentation:
    """Write a CLIPSeg checkpoint with random weights to `folder` and return the model.

    image_side: the side of the square that images are resized to. words: words that the tokenizer encodes as one token
    each, as it does common words in CLIP's own vocabulary.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = CLIPSegForImageSegmentation(config).eval()
        _scale_outputs(model, image_side)
    model.save_pretrained(folder)
    write_tokenizer(folder, config.text_config.vocab_size, words)
    ViTImageProcessorPil(
        size={"height": image_side, "width": image_side},
        image_mean=_IMAGENET_MEAN,
        image_std=_IMAGENET_STD,
    ).save_pretrained(folder)
    return model


def write_published(folder: Path, words: Sequence[str]) -> None:
    """Write CIDAS/clipseg-rd64-refined with random weights."""
    write_clipseg(folder, published_clipseg_config(), words=words)


def write_tokenizer(folder: Path, vocabulary_size: int, words: Sequence[str] = ()) -> None:
    """Write CLIP's byte-level tokenizer with a small vocabulary: all bytes, `words`, start and end.

    Raises ValueError when `vocabulary_size` is too small for them.
    """
    symbols = byte_symbols()
    vocabulary = symbols + [f"{symbol}</w>" for symbol in symbols]
    merges = []
    for word in words:
        joined, *pieces = [*word[:-1], f"{word[-1]}</w>"]
        for piece in pieces:
            merges.append((joined, piece))
            joined += piece
            vocabulary.append(joined)
    vocabulary = list(dict.fromkeys(vocabulary))
    unused = vocabulary_size - len(vocabulary) - 2
    if unused < 0:
        raise ValueError(
            f"{len(words)} words need a vocabulary of {len(vocabulary) + 2} tokens, not {vocabulary_size}"
        )
    vocabulary += [f"<|unused{i}|>" for i in range(unused)]
    ids = {token: i for i, token in enumerate([*vocabulary, _START, _END])}
    tokenizer = CLIPTokenizer(vocab=ids, merges=list(dict.fromkeys(merges)))
    tokenizer.save_pretrained(folder)


@torch.no_grad()
def _scale_outputs(model: CLIPSegForImageSegmentation, image_side: int) -> None:
    """Give the logits the range of a trained model's: both signs, some units apart, different from pixel to pixel."""
    layers = [module for module in model.decoder.modules() if isinstance(module, _LAYERS)]
    for layer in layers:
        layer.reset_parameters()  # transformers' own initialisation gives logits hundreds of units apart
    logits = model(
        pixel_values=torch.randn(1, 3, image_side, image_side),
        conditional_embeddings=torch.randn(1, model.config.projection_dim),
    ).logits
    last = [layer for layer in layers if isinstance(layer, nn.ConvTranspose2d)][-1]
    gain = 3 / logits.std()
    assert last.bias is not None
    last.weight.mul_(gain)
    last.bias.sub_(logits.mean()).mul_(gain).sub_(1)


def byte_symbols() -> list[str]:
    """List the printable characters that stand for the 256 bytes in byte-level BPE (Radford et al. 2019)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte if byte in printable else 256 + others.index(byte)) for byte in range(256)]
