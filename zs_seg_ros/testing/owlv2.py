# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""OWLv2 checkpoints with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from transformers import CLIPTokenizer, Owlv2Config, Owlv2ForObjectDetection
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil

from zs_seg_ros.testing.clipseg import write_tokenizer


def published_owlv2_config() -> Owlv2Config:
    """The shape of google/owlv2-base-patch16-ensemble: transformers' defaults with images of 960x960."""
    return Owlv2Config(vision_config={"image_size": 960})


def small_owlv2_config() -> Owlv2Config:
    """The same architecture, small enough for a test to run in milliseconds; images of 64x64."""
    small = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    text = {"vocab_size": 600, "bos_token_id": 598, "eos_token_id": 599}
    return Owlv2Config(
        text_config={**small, **text, "num_hidden_layers": 2},
        vision_config={**small, "num_hidden_layers": 3, "patch_size": 8, "image_size": 64},
        projection_dim=32,
    )


def write_owlv2(
    folder: Path, config: Owlv2Config, words: Sequence[str] = (), seed: int = 0
) -> Owlv2ForObjectDetection:
    """Write an OWLv2 checkpoint with random weights to `folder` and return the model.

    words: words that the tokenizer encodes as one token each, as it does common words in CLIP's own vocabulary.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Owlv2ForObjectDetection(config).eval()
        _scale_outputs(model)
    model.save_pretrained(folder)
    write_tokenizer(folder, config.text_config.vocab_size, words)
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    tokenizer.model_max_length = config.text_config.max_position_embeddings
    tokenizer.pad_token = "!"  # number 0
    tokenizer.save_pretrained(folder)
    side = config.vision_config.image_size
    Owlv2ImageProcessorPil(size={"height": side, "width": side}).save_pretrained(folder)
    return model


def write_published(folder: Path, words: Sequence[str]) -> None:
    """Write google/owlv2-base-patch16-ensemble with random weights."""
    write_owlv2(folder, published_owlv2_config(), words=words)


@torch.no_grad()
def _scale_outputs(model: Owlv2ForObjectDetection) -> None:
    """Give scores the range of a trained model's: most are low, and they differ between boxes and between phrases."""
    config, head = model.config, model.class_head
    for layer in (*model.box_head.children(), *head.children()):
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    tokens = model.owlv2.text_model.embeddings.token_embedding.weight
    nn.init.normal_(tokens)
    tokens[-1].mul_(
        0.1
    )  # the end of a phrase, whose output is the embedding: it shall depend on the words
    head.logit_scale.bias.fill_(14.0)
    head.logit_shift.weight.mul_(0.2)
    side = config.vision_config.image_size
    squares = functional.interpolate(torch.randn(1, 3, side // 8, side // 8), (side, side))
    grid, _ = model.image_embedder(squares)
    prompts = torch.randint(config.text_config.vocab_size - 2, (8, 4))
    prompts[:, -1] = config.text_config.vocab_size - 1
    texts = model.owlv2.get_text_features(prompts).pooler_output
    logits, _ = model.class_predictor(grid.flatten(1, 2), texts)
    head.logit_shift.bias.sub_(logits.quantile(0.9) / 15)
    model.box_head.dense2.weight.mul_(3)
    model.box_head.dense2.bias.copy_(torch.tensor([0.0, 0.0, 1.0, 1.0]))  # larger than a patch
