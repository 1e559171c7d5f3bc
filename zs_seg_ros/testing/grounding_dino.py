# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Grounding DINO and MM Grounding DINO checkpoints with random weights, and BERT's tokenizer."""

from __future__ import annotations

import string
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from transformers import (
    BertTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    PreTrainedConfig,
    PreTrainedModel,
    SwinConfig,
)
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import (
    GroundingDinoImageProcessorPil,
)

# The ids of BERT's vocabulary; the last four are constants of the model.
_FIXED = {"[PAD]": 0, "[UNK]": 100, "[MASK]": 103, "[CLS]": 101, "[SEP]": 102, ".": 1012, "?": 1029}
_CHARACTERS = string.ascii_lowercase + string.digits
_SMALL_TEXT = 1100
_SETTINGS: dict[str, dict[str, bool]] = {
    "grounding-dino": {},
    # Published checkpoints have a head for each layer of the decoder, unlike transformers' defaults.
    "mm-grounding-dino": {"decoder_bbox_embed_share": False, "decoder_cls_embed_share": False},
}
_MODELS: dict[str, tuple[type[PreTrainedConfig], type[PreTrainedModel]]] = {
    "grounding-dino": (GroundingDinoConfig, GroundingDinoForObjectDetection),
    "mm-grounding-dino": (MMGroundingDinoConfig, MMGroundingDinoForObjectDetection),
}


def published_grounding_dino_config(kind: str = "grounding-dino") -> PreTrainedConfig:
    """Return the published shape, with Swin-T and BERT base.

    It is that of IDEA-Research/grounding-dino-tiny, or, for kind mm-grounding-dino, of
    openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det.
    """
    config, _ = _MODELS[kind]
    swin = SwinConfig(image_size=224, window_size=7, depths=[2, 2, 6, 2], out_indices=[2, 3, 4])
    return config(backbone_config=swin, **_SETTINGS[kind])


def small_grounding_dino_config(
    kind: str = "grounding-dino", **changes: object
) -> PreTrainedConfig:
    """The same architecture, small enough for a test to run in milliseconds."""
    swin = SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
        out_indices=[2, 3, 4],
    )
    bert = {"model_type": "bert", "vocab_size": _SMALL_TEXT, "hidden_size": 32}
    settings: dict[str, object] = {
        "backbone_config": swin,
        "text_config": {
            **bert,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
        },
        "d_model": 64,  # transformers splits it into 32 groups, each of which needs several values
        "encoder_layers": 2,
        "encoder_ffn_dim": 64,
        "encoder_attention_heads": 4,
        "decoder_layers": 2,
        "decoder_ffn_dim": 64,
        "decoder_attention_heads": 4,
        "num_queries": 30,
    }
    return _MODELS[kind][0](**{**settings, **_SETTINGS[kind], **changes})


def write_grounding_dino(
    folder: Path,
    config: PreTrainedConfig,
    edges: tuple[int, int] = (800, 1333),
    words: Sequence[str] = (),
    seed: int = 0,
) -> PreTrainedModel:
    """Write a checkpoint with random weights to `folder` and return the model.

    config: of either kind. edges: the length that images' shortest edge is resized to, and the limit of the longest.
    words: words that the tokenizer encodes as one token each, as it does common words in BERT's own vocabulary.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = _MODELS[config.model_type][1](config).eval()
        _scale_outputs(model, edges[0])
    model.save_pretrained(folder)
    write_bert_tokenizer(folder, config.text_config.vocab_size, words)
    GroundingDinoImageProcessorPil(
        size={"shortest_edge": edges[0], "longest_edge": edges[1]}
    ).save_pretrained(folder)
    return model


def write_published(folder: Path, words: Sequence[str]) -> None:
    """Write IDEA-Research/grounding-dino-tiny with random weights."""
    write_grounding_dino(folder, published_grounding_dino_config(), words=words)


def write_bert_tokenizer(folder: Path, vocabulary_size: int, words: Sequence[str] = ()) -> None:
    """Write BERT's lower-case tokenizer with a small vocabulary: letters, digits, commas, hyphens and `words`.

    Raises ValueError when `vocabulary_size` is too small for them.
    """
    pieces = [*_CHARACTERS, *(f"##{character}" for character in _CHARACTERS), ",", "-", *words]
    free = [i for i in range(vocabulary_size) if i not in _FIXED.values()]
    pieces = list(dict.fromkeys(pieces))
    if vocabulary_size <= max(_FIXED.values()) or len(free) < len(pieces):
        raise ValueError(
            f"a vocabulary of {vocabulary_size} tokens is too small for {len(words)} words"
        )
    pieces += [f"[unused{i}]" for i in range(len(free) - len(pieces))]
    tokenizer = BertTokenizer(vocab={**_FIXED, **dict(zip(pieces, free, strict=True))})
    tokenizer.save_pretrained(folder)


@torch.no_grad()
def _scale_outputs(model: PreTrainedModel, side: int) -> None:
    """Give scores the range of a trained model's: they depend on phrases and boxes, and are neither 0 nor 1."""
    for name, weight in model.named_parameters():
        if name.endswith(("vision_param", "text_param")):
            weight.fill_(0.3)  # otherwise image and text would hardly influence each other
        elif "sampling_offsets.weight" in name or "attention_weights.weight" in name:
            nn.init.normal_(weight, std=0.2)
    for head in (*model.bbox_embed, model.model.encoder_output_bbox_embed):
        for layer in head.layers:  # otherwise boxes would equal the proposals
            layer.reset_parameters()
        head.layers[-1].weight.mul_(5)
    ids = torch.tensor([[101, *range(2, 22), 1012, 102]])
    logits = model(pixel_values=torch.randn(1, 3, side, side), input_ids=ids).logits[..., 1:21]
    bias = getattr(model.class_embed[-1], "bias", torch.zeros(()))
    norm = model.model.decoder.layer_norm
    gain = 2 / (logits - bias).std()
    norm.weight.mul_(gain)
    norm.bias.mul_(gain)
