# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""SAM 3 checkpoints with random weights: the detector, with and without tracker, and with the small text encoder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel, Sam3Config, Sam3LiteTextConfig, Sam3VideoConfig
from transformers.models.sam3.modeling_sam3 import Sam3Model
from transformers.models.sam3_lite_text.modeling_sam3_lite_text import Sam3LiteTextModel
from transformers.models.sam3_video.modeling_sam3_video import Sam3VideoModel

from zs_seg_ros.testing.clipseg import write_tokenizer
from zs_seg_ros.testing.sam2 import MEMORY_WIDTH, scale_masks, scale_memory, small_memory

_LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
_SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}


def published_sam3_config() -> Sam3Config:
    """The shape of the detector in facebook/sam3: transformers' defaults."""
    return Sam3Config()


def published_sam3_lite_text_config() -> Sam3LiteTextConfig:
    """The shape of yonigozlan/sam3-litetext-s0: transformers' defaults."""
    return Sam3LiteTextConfig()


def small_sam3_config(width: int = 32) -> Sam3Config:
    """The same architecture, small enough for a test to run in milliseconds; images of 112x112.

    width: the channels of the features of words and images.
    """
    text = {
        "model_type": "clip_text_model",
        "max_position_embeddings": 32,
        "bos_token_id": 598,
        "eos_token_id": 599,
        "pad_token_id": 599,
    }
    return Sam3Config(text_config={**text, **_small_text()}, **_small_parts(width))


def small_sam3_lite_text_config() -> Sam3LiteTextConfig:
    """Return the small configuration with the text encoder of SAM 3 LiteText."""
    return Sam3LiteTextConfig(
        text_config={**_small_text(), "num_hidden_layers": 3}, **_small_parts(32)
    )


def small_sam3_video_config() -> Sam3VideoConfig:
    """Return the small configuration with a tracker, as facebook/sam3 is published, but for a memory that works."""
    return _video_config(32, {"memory_attention_num_layers": 1})


def small_sam3_memory_config() -> Sam3VideoConfig:
    """Return the small configuration with a tracker whose memory works."""
    memory = {**small_memory(cells=8), "memory_attention_feed_forward_hidden_size": 32}
    return _video_config(MEMORY_WIDTH, memory)


def _video_config(width: int, memory: dict[str, object]) -> Sam3VideoConfig:
    """Return a small configuration with a tracker, all of it for features of `width` channels."""
    detector = small_sam3_config(width)
    tracker = {
        "model_type": "sam3_tracker_video",
        "vision_config": detector.vision_config.to_dict(),
        "image_size": 112,
        "prompt_encoder_config": {"image_size": 112, "patch_size": 14, "hidden_size": width},
        "mask_decoder_config": {
            "hidden_size": width,
            "num_attention_heads": 2,
            "mlp_dim": 64,
            "iou_head_hidden_dim": 32,
        },
        **memory,
    }
    return Sam3VideoConfig(detector_config=detector.to_dict(), tracker_config=tracker)


def write_sam3(
    folder: Path,
    config: Sam3Config | Sam3LiteTextConfig | Sam3VideoConfig,
    words: Sequence[str] = (),
    seed: int = 0,
) -> PreTrainedModel:
    """Write a SAM 3 checkpoint with random weights to `folder` and return its detector.

    words: words that the tokenizer encodes as one token each, as it does common words in CLIP's own vocabulary.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = _KINDS[type(config)](config).eval()
        detector: PreTrainedModel = getattr(model, "detector_model", model)
        _scale_outputs(detector)
        if isinstance(model, Sam3VideoModel):
            model.tracker_model.no_memory_embedding.data.normal_(std=0.5)
            scale_masks(model.tracker_model)
            if model.tracker_model.hidden_dim == MEMORY_WIDTH:
                scale_memory(model.tracker_model)
    model.save_pretrained(folder)
    if isinstance(model, Sam3VideoModel):
        _name_as_published(folder / "model.safetensors")
    write_tokenizer(folder, detector.config.text_config.vocab_size, words)
    _write_processor(folder, detector.config.image_size)
    return detector


def _name_as_published(path: Path) -> None:
    """Take the prefix out that transformers writes twice, which a checkpoint of facebook/sam3 has once."""
    tensors = {
        name.replace("tracker_model.tracker_model.", "tracker_model."): tensor
        for name, tensor in load_file(path).items()
    }
    save_file(tensors, path, metadata={"format": "pt"})


def write_published(folder: Path, words: Sequence[str]) -> None:
    """Write the detector in facebook/sam3 with random weights; 3.4 GB."""
    write_sam3(folder, published_sam3_config(), words=words)


def _write_processor(folder: Path, side: int) -> None:
    images = {
        "image_processor_type": "Sam3ImageProcessorFast",
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "resample": 2,  # bilinear
        "rescale_factor": 1 / 255,
        "size": {"height": side, "width": side},
    }
    settings = {"image_processor": images, "processor_class": "Sam3Processor"}
    (folder / "processor_config.json").write_text(json.dumps(settings, indent=2))


_KINDS = {
    Sam3Config: Sam3Model,
    Sam3LiteTextConfig: Sam3LiteTextModel,
    Sam3VideoConfig: Sam3VideoModel,
}


def _small_text() -> dict[str, object]:
    return {**_SMALL, "num_hidden_layers": 2, "vocab_size": 600, "projection_dim": 24}


def _small_parts(width: int) -> dict[str, dict[str, object]]:
    """Return the configuration of all parts but the text encoder."""
    part = {**_SMALL, "hidden_size": width}
    backbone = {
        **_SMALL,
        "model_type": "sam3_vit_model",
        "num_hidden_layers": 3,
        "image_size": 112,
        "pretrain_image_size": 56,
        "window_size": 4,
        "global_attn_indexes": [2],
    }
    return {
        "vision_config": {
            "model_type": "sam3_vision_model",
            "backbone_config": backbone,
            "fpn_hidden_size": width,
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        },
        "geometry_encoder_config": {**part, "num_layers": 1},
        "detr_encoder_config": {**part, "num_layers": 2},
        "detr_decoder_config": {**part, "num_layers": 2, "num_queries": 12},
        "mask_decoder_config": {"hidden_size": width, "num_attention_heads": 2},
    }


@torch.no_grad()
def _scale_outputs(model: PreTrainedModel) -> None:
    """Give the outputs the range of a trained model's: some queries reach 0.5, and masks have both signs."""
    for name, module in model.named_modules():
        if isinstance(module, _LAYERS):
            module.reset_parameters()  # transformers' own initialisation makes all phrases and pixels alike
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight)
        if name.endswith("cross_attn.o_proj"):
            module.weight.mul_(2)  # so that masks depend on the phrase
    example = _example(model)
    scoring, masks = model.dot_product_scoring, model.mask_decoder
    _centre({scoring.query_proj: -1, masks.instance_projection: 1}, model, example)
    outputs = model(**example)
    _scale(scoring.query_proj, 2 / outputs.pred_logits.std())
    _scale(masks.instance_projection, 3 / outputs.pred_masks.std())
    presence = model.detr_decoder.presence_head.layer3
    presence.bias.sub_(outputs.presence_logits.mean())
    _scale(presence, 0.5 / outputs.presence_logits.std())
    presence.bias.add_(1)


def _example(model: PreTrainedModel) -> dict[str, Any]:
    """Return the inputs for an image with three phrases of three words each."""
    side, tokens = model.config.image_size, model.config.text_config.vocab_size
    ids = torch.full((3, 32), tokens - 1)
    ids[:, :4] = torch.randint(tokens - 2, (3, 4))
    image = model.get_vision_features(torch.randn(1, 3, side, side))
    for levels in ("fpn_hidden_states", "fpn_position_encoding"):
        image[levels] = tuple(level.expand(3, -1, -1, -1) for level in image[levels])
    present = torch.cat([torch.ones(3, 5), torch.zeros(3, 27)], dim=1).long()
    return {"vision_embeds": image, "input_ids": ids, "attention_mask": present}


def _centre(layers: dict[nn.Module, int], model: nn.Module, example: dict[str, Any]) -> None:
    """Shift the outputs of layers to mean 0 over the example.

    layers: for each layer the dimension of its channels.
    """
    means: dict[nn.Module, Tensor] = {}

    def remember(layer: nn.Module, inputs: object, output: Tensor) -> None:
        means[layer] = output.movedim(layers[layer], -1).flatten(0, -2).mean(dim=0)

    hooks = [layer.register_forward_hook(remember) for layer in layers]
    model(**example)
    for hook in hooks:
        hook.remove()
    for layer, mean in means.items():
        assert isinstance(layer.bias, Tensor)
        layer.bias.sub_(mean)


def _scale(layer: nn.Linear | nn.Conv2d, factor: Tensor) -> None:
    assert layer.bias is not None
    layer.weight.mul_(factor)
    layer.bias.mul_(factor)
