# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Steps that the references share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.types import RgbImage, size_of

Reference = Callable[[RgbImage, Sequence[str], float], Any]
"""An image, prompts and the score threshold to masks or probabilities on the CPU."""
Detect = Callable[[RgbImage, Sequence[str], float], Tensor]
"""An image, prompts and the score threshold to bounding boxes (N, 4): left, top, right, bottom in pixels."""
Segment = Callable[[RgbImage, Tensor], Tensor]
"""An image and bounding boxes to masks (N, H, W)."""


def load_model(kind: Any, folder: Path, device: torch.device, dtype: torch.dtype) -> Any:
    """Load a model of class `kind` from a folder, ready for inference on `device`."""
    return kind.from_pretrained(folder, use_safetensors=True, dtype=dtype).to(device).eval()


def to_device(inputs: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """Move a processor's inputs to `device`, and convert pixel_values to `dtype`."""
    inputs = inputs.to(device)
    inputs["pixel_values"] = inputs["pixel_values"].to(dtype)
    return inputs


def full_resolution(masks: Tensor, image: RgbImage, inside: float) -> Tensor:
    """Resize logits (N, h, w) to the image and compare them with `inside`: (N, H, W) bool on the CPU."""
    if not len(masks):
        return torch.zeros(0, *size_of(image))
    full = functional.interpolate(masks[None], size_of(image), mode="bilinear")[0]
    return (full > inside).cpu()
