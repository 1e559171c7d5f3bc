# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A stand-in for the functions of torchvision that transformers' image processors call; torchvision is not installed.

Like torchvision it resizes tensors with torch's `interpolate`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional
from transformers import image_processing_backends
from transformers.image_utils import PILImageResampling


class InterpolationMode:
    BILINEAR, BICUBIC, LANCZOS, NEAREST_EXACT = "bilinear", "bicubic", "lanczos", "nearest-exact"


def resize(image: Tensor, size: Sequence[int], interpolation: str, antialias: bool) -> Tensor:
    return functional.interpolate(image, tuple(size), mode=interpolation, antialias=antialias)


def pad(image: Tensor, padding: Sequence[int], fill: float, padding_mode: str) -> Tensor:
    left, top, right, bottom = padding
    return functional.pad(image, (left, right, top, bottom), mode=padding_mode, value=fill)


def normalize(image: Tensor, mean: object, std: object, inplace: bool = False) -> Tensor:
    mean, std = (
        torch.as_tensor(values, dtype=image.dtype)[:, None, None] for values in (mean, std)
    )
    return (image - mean) / std


def _module(name: str, **members: object) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(members)
    return module


@contextmanager
def torchvision_stand_in() -> Iterator[None]:
    """While the block runs, image processors that need torchvision can be imported and used."""
    functions = _module(
        "torchvision.transforms.v2.functional",
        InterpolationMode=InterpolationMode,
        resize=resize,
        pad=pad,
        normalize=normalize,
        grayscale_to_rgb=lambda image: image,
    )
    modules = {
        "torchvision": _module("torchvision"),
        "torchvision.transforms": _module("torchvision.transforms"),
        "torchvision.transforms.v2": _module("torchvision.transforms.v2", functional=functions),
        "torchvision.transforms.v2.functional": functions,
        "torchvision.ops": _module("torchvision.ops"),
        "torchvision.ops.boxes": _module("torchvision.ops.boxes", batched_nms=None),
    }
    kinds = {PILImageResampling.BILINEAR: "bilinear", PILImageResampling.BICUBIC: "bicubic"}
    with (
        patch.dict(sys.modules, modules),
        patch.object(image_processing_backends, "tvF", functions, create=True),
        patch.object(image_processing_backends, "pil_torch_interpolation_mapping", kinds),
    ):
        yield
