# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""SegFormer checkpoints with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from transformers import SegformerConfig, SegformerForSemanticSegmentation
from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil

SMALL_LABELS = (
    "wall",
    "floor, flooring",
    "door;double door",
    "tree, flora",
    "table",
    "swivel chair",
    "screen;monitor",
    "projection screen, screen",
    "cup",
    "ball",
)
"""Ten labels written as ADE20K's are; the word "screen" means two of them."""


def published_segformer_config() -> SegformerConfig:
    """The shape of nvidia/segformer-b0-finetuned-ade-512-512: transformers' defaults and 150 labels."""
    return SegformerConfig(id2label={i: f"label {i}" for i in range(150)})


def small_segformer_config(labels: Sequence[str] = SMALL_LABELS) -> SegformerConfig:
    """The same architecture, small enough for a test to run in milliseconds."""
    return SegformerConfig(
        id2label=dict(enumerate(labels)),
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 16, 24, 32],
        num_attention_heads=[1, 2, 3, 4],
        mlp_ratios=[2, 2, 2, 2],
        decoder_hidden_size=24,
    )


def write_segformer(
    folder: Path, config: SegformerConfig, image_side: int = 512, seed: int = 0
) -> SegformerForSemanticSegmentation:
    """Write a SegFormer checkpoint with random weights to `folder` and return the model.

    image_side: the side of the square that images are resized to.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = SegformerForSemanticSegmentation(config).eval()
        _scale_outputs(model, image_side)
    model.save_pretrained(folder)
    SegformerImageProcessorPil(
        size={"height": image_side, "width": image_side}, do_reduce_labels=True
    ).save_pretrained(folder)
    return model


def write_published(folder: Path, _words: Sequence[str]) -> None:
    """Write nvidia/segformer-b0-finetuned-ade-512-512 with random weights."""
    write_segformer(folder, published_segformer_config())


@torch.no_grad()
def _scale_outputs(model: SegformerForSemanticSegmentation, image_side: int) -> None:
    """Give the logits the range of a trained model's: units apart, and each label is the arg-max of some pixels."""
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            module.reset_parameters()  # with transformers' own initialisation logits hardly depend on the image
    norm = model.decode_head.batch_norm
    for values, low, high in (
        (norm.running_mean, -0.5, 0.5),
        (norm.running_var, 0.5, 2.0),
        (norm.weight, 0.5, 2.0),
        (norm.bias, -0.5, 0.5),
    ):
        values.uniform_(low, high)
    squares = torch.randn(1, 3, image_side // 8, image_side // 8).repeat_interleave(8, 2)
    logits = model(pixel_values=squares.repeat_interleave(8, 3)).logits
    gain = 4 / logits.std(dim=(0, 2, 3))
    last = model.decode_head.classifier
    last.weight.mul_(gain[:, None, None, None])
    last.bias.sub_(logits.mean(dim=(0, 2, 3))).mul_(gain)
