# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""SegFormer: the closed-set comparison (Xie et al. 2021, arXiv 2105.15203).

Loads any checkpoint of transformers' `SegformerForSemanticSegmentation`, such as
nvidia/segformer-b0-finetuned-ade-512-512. It takes no prompts but its own labels.

transformers resizes the logits of all labels to the image, bilinearly, and gives each pixel the arg-max. Here a pixel
belongs to a class when that same label is one of the class's and its probability among all labels of the model
reaches the threshold. The probability is that of the softmax,
computed as log odds at the logits' resolution and resized like the logits: between two labels that equals the softmax
of the resized logits; where more labels meet it is lower, never higher.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from transformers import SegformerConfig, SegformerForSemanticSegmentation
from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.base import EncodedVocabulary
from zs_seg_ros.segmenters.engines.parts import Exportable, NetworkPart, Run, image_encoder
from zs_seg_ros.segmenters.kept_images import encoded_once
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.segformer.network import SegFormerNetwork
from zs_seg_ros.segmenters.shared.closed_set import (
    ClosedSetSegmenter,
    LabelFeatures,
    segment_labels,
)
from zs_seg_ros.segmenters.shared.compiled import Compiled
from zs_seg_ros.segmenters.shared.device import choose_device, choose_precision, precision_name
from zs_seg_ros.segmenters.shared.image_tensors import IMAGENET_MEAN, IMAGENET_STD, prepare
from zs_seg_ros.segmenters.shared.input_size import choose_input_size
from zs_seg_ros.segmenters.shared.label_names import LabelNames
from zs_seg_ros.segmenters.shared.pretrained import ImageFormat, load_image_format, load_model
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.segmenters.shared.transfers import finished
from zs_seg_ros.types import Batch, RgbImage, Segmentation

# ImageNet's mean and standard deviation, as in the published preprocessor_config.json.
_DEFAULT_FORMAT = ImageFormat((512, 512), IMAGENET_MEAN, IMAGENET_STD)

_MAX_LOG_PROBABILITY = -1e-7  # at 0 the log odds would be infinite, and spread when resized


class SegFormerSegmenter(ClosedSetSegmenter, Exportable):
    """Segments images with a SegFormer checkpoint in the format of transformers."""

    takes_input_size = True
    prompts_are_independent = True

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        self.model = model
        device = choose_device(options.device)
        self.device = str(device)
        self._dtype = choose_precision(options, device, "segformer")
        self.precision = precision_name(self._dtype)
        loaded = load_model(SegformerForSemanticSegmentation, model, folder, self._dtype)
        self._names = LabelNames(model, folder, loaded.config.id2label)
        self.only_names = tuple(dict.fromkeys(self._names.labels.values()))
        self._format = load_image_format(SegformerImageProcessorPil, model, folder, _DEFAULT_FORMAT)
        if not loaded.config.reshape_last_stage:
            raise ModelError(
                f"{model} has reshape_last_stage false in its config.json, which is for classifying whole images; "
                "give a checkpoint that was made for segmentation"
            )
        self._input_size = choose_input_size(
            model, options.inference_size, self._format.size, least=_least_side(loaded.config)
        )
        self.network = SegFormerNetwork(loaded).to(device)
        self._forward: Callable[[Tensor], Tensor]
        self._forward = Compiled(self.network) if options.compile else self.network
        self._mean = torch.tensor(self._format.mean, device=device)
        self._std = torch.tensor(self._format.std, device=device)

    def network_parts(self) -> tuple[NetworkPart, ...]:
        """Return the whole network, at the model's input size."""
        network, size = self.network, self._input_size
        return (
            image_encoder(
                "segformer",
                lambda pixels: (network(pixels),),
                network,
                size,
                ("logits",),
                self._forward_with,
            ),
        )

    def _forward_with(self, run: Run) -> None:
        self._forward = lambda pixels: run(pixels)[0]

    def _segment(
        self, batch: Batch, encoded: EncodedVocabulary[LabelFeatures]
    ) -> list[Segmentation]:
        logits = encoded_once(self, batch.images, lambda: self._encode_images(batch.images))
        with stage("finish"):
            return finished(
                [
                    segment_labels(
                        image_logits, partial(_log_odds, image_logits), size, batch, encoded
                    )
                    for image_logits, size in zip(logits, batch.sizes, strict=True)
                ]
            )

    def _encode_images(self, images: Sequence[RgbImage]) -> Tensor:
        with stage("prepare"):
            resample = self._format.resample
            pixels = prepare(images, self._input_size, self._mean, self._std, self._dtype, resample)
        with stage("encode"):
            return self.logits(pixels)

    @torch.inference_mode()
    def logits(self, pixel_values: Tensor) -> Tensor:
        """Compute the logits, (B, L, H / 4, W / 4) float32, of all labels of prepared images (B, 3, H, W)."""
        return self._forward(pixel_values).float()


def _least_side(config: SegformerConfig) -> int:
    """Return the side of an image of which each stage's attention, which reduces its resolution, sees a pixel."""
    strides = itertools.accumulate(config.strides, operator.mul)
    return max(int(a * b) for a, b in zip(strides, config.sr_ratios, strict=True))


def _log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute log p / (1 - p), (P, h, w), of the softmax probabilities p of `labels` from logits (L, h, w)."""
    log_p = (logits[labels] - logits.logsumexp(dim=0)).clamp(max=_MAX_LOG_PROBABILITY)
    return log_p - torch.log(-torch.expm1(log_p))
