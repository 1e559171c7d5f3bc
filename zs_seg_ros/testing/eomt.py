# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""EoMT checkpoints with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from transformers import EomtConfig, EomtForUniversalSegmentation
from transformers.models.eomt.image_processing_pil_eomt import EomtImageProcessorPil

from zs_seg_ros.testing.segformer import SMALL_LABELS

_LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def published_eomt_config() -> EomtConfig:
    """The shape of tue-mps/ade20k_semantic_eomt_large_512: 512x512, 100 queries, 150 labels."""
    labels = {i: f"label {i}" for i in range(150)}
    return EomtConfig(image_size=512, num_queries=100, id2label=labels)


def small_eomt_config(labels: Sequence[str] = SMALL_LABELS) -> EomtConfig:
    """The same architecture, small enough for a test to run in milliseconds; windows of 64x64."""
    return EomtConfig(
        image_size=64,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_blocks=2,
        num_queries=12,
        mlp_ratio=2,
        id2label=dict(enumerate(labels)),
    )


def write_eomt(folder: Path, config: EomtConfig, seed: int = 0) -> EomtForUniversalSegmentation:
    """Write an EoMT checkpoint for semantic segmentation with random weights to `folder` and return the model."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = EomtForUniversalSegmentation(config).eval()
        _scale_outputs(model)
    model.save_pretrained(folder)
    EomtImageProcessorPil(
        size={"shortest_edge": config.image_size, "longest_edge": None}, do_split_image=True
    ).save_pretrained(folder)
    return model


def write_published(folder: Path, _words: Sequence[str]) -> None:
    """Write tue-mps/ade20k_semantic_eomt_large_512 with random weights."""
    write_eomt(folder, published_eomt_config())


@torch.no_grad()
def _scale_outputs(model: EomtForUniversalSegmentation) -> None:
    """Give the outputs the range of a trained model's: masks have both signs, and queries different labels."""
    for module in model.modules():
        if isinstance(module, _LAYERS):
            module.reset_parameters()  # with transformers' own initialisation all queries are alike
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight)
    model.attn_mask_probs.zero_()  # as after training: no query is masked
    side = model.config.image_size
    squares = torch.randn(2, 3, side // 16, side // 16).repeat_interleave(16, 2)
    outputs = model(squares.repeat_interleave(16, 3))
    last = model.mask_head.fc3
    gain = 4 / outputs.masks_queries_logits.std()
    last.weight.mul_(gain)
    last.bias.mul_(gain)
    classes = outputs.class_queries_logits
    model.class_predictor.weight.mul_(4 / classes.std())
    model.class_predictor.bias.sub_(classes.mean(dim=(0, 1))).mul_(4 / classes.std())
