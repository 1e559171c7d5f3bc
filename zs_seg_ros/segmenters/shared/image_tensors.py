# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Images to tensors: uploaded without conversion; resized and normalised on the device."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.kernels import compiled_kernels
from zs_seg_ros.segmenters.shared.compiled_resizing import resized_and_normalised
from zs_seg_ros.segmenters.shared.preprocessing import Resample
from zs_seg_ros.segmenters.shared.transfers import uploaded
from zs_seg_ros.types import RgbImage

# A view of a message's bytes can be read-only; nothing here writes to it.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of R, G, B in 0..1 over ImageNet, with which most encoders were trained."""


_uploads: ContextVar[dict[int, Tensor] | None] = ContextVar("uploads of images", default=None)


@contextmanager
def one_upload_per_image() -> Iterator[None]:
    """Upload an image array once in this thread and within the block, where two models read it."""
    token = _uploads.set({})
    try:
        yield
    finally:
        _uploads.reset(token)


def upload(image: RgbImage, device: torch.device) -> Tensor:
    """Upload an RGB image (H, W, 3) of any strides as (3, H, W), to read only: uint8, or int32 for uint16."""
    known = _uploads.get()
    if known is None or device.type == "cpu":
        return _upload(image, device)
    if id(image) not in known:
        known[id(image)] = _upload(image, device)
    return known[id(image)]


def _upload(image: RgbImage, device: torch.device) -> Tensor:
    reversed_channels = image.strides[2] < 0  # a bgr8 message, viewed as RGB
    array: NDArray[Any] = image[..., ::-1] if reversed_channels else image
    if array.dtype != np.uint8:
        array = array.astype(np.int32)  # torch supports few operations on uint16
    elif min(array.strides) < 0 or 1 in array.shape:
        # torch resizes an image one pixel wide wrongly whose columns come first.
        array = array.copy()
    tensor = uploaded(torch.from_numpy(array), device).permute(2, 0, 1)
    return tensor.flip(0) if reversed_channels else tensor


def prepare(
    images: Sequence[RgbImage],
    size: tuple[int, int],
    mean: Tensor,
    std: Tensor,
    dtype: torch.dtype = torch.float32,
    resample: Resample = "bilinear",
) -> Tensor:
    """Resize to `size` (height, width), scale to 0..1 and normalise, on the device of `mean`.

    mean and std: (3,). Returns (B, 3, height, width) of `dtype`. Resized with antialiasing, as Pillow does it.
    """
    prepared = [_prepared(image, size, mean, std, resample) for image in images]
    batch = torch.stack(prepared) if len(prepared) > 1 else prepared[0][None]
    return batch.to(dtype)


def _prepared(
    image: RgbImage, size: tuple[int, int], mean: Tensor, std: Tensor, resample: Resample
) -> Tensor:
    """Resize, scale and normalise one image to (3, height, width) float32, in memory of its own."""
    kernels, on_cpu = compiled_kernels(), mean.device.type == std.device.type == "cpu"
    if kernels is None or image.dtype != np.uint8 or not on_cpu:
        scaled = _resized(image, size, mean.device, resample) / np.iinfo(image.dtype).max
        return scaled.sub_(mean[:, None, None]).div_(std[:, None, None])
    if image.shape[:2] != size:
        resized = resized_and_normalised(kernels, image, size, mean.numpy(), std.numpy(), resample)
        if resized is not None:
            return torch.from_numpy(resized)
    if image.strides[2] < 0:  # a bgr8 message, viewed as RGB: planes are reversed in less time
        planes = _resized(image[..., ::-1], size, mean.device, resample).numpy()[::-1]
    else:
        planes = _resized(image, size, mean.device, resample).numpy()
    return torch.from_numpy(kernels.normalised(planes, mean.numpy(), std.numpy()))


def _resized(
    image: RgbImage, size: tuple[int, int], device: torch.device, resample: Resample
) -> Tensor:
    """Upload and resize one image to (3, height, width), of bytes or of floats with the image's range."""
    full_scale = np.iinfo(image.dtype).max
    tensor = upload(image, device)[None]
    if tuple(tensor.shape[-2:]) != size:
        # On a CPU torch resizes bytes several times faster than floats.
        if tensor.dtype == torch.uint8 and device.type != "cpu":
            tensor = _resized_bytes(tensor.float(), size, resample)
        else:
            tensor = tensor if tensor.dtype == torch.uint8 else tensor.float()
            tensor = functional.interpolate(tensor, size, mode=resample, antialias=True)
            if resample == "bicubic" and tensor.is_floating_point():
                tensor = tensor.clamp(0, full_scale)  # it overshoots at edges, where bytes saturate
    return tensor[0]


def _resized_bytes(tensor: Tensor, size: tuple[int, int], resample: Resample) -> Tensor:
    """Resize (1, 3, H, W) floats that are bytes as Pillow, and torch on a CPU, do: rows, then columns.

    Each of them rounds and saturates to bytes after both passes; without that, bicubic results differ by several.
    """
    for target in ((tensor.shape[-2], size[1]), size):
        if tuple(tensor.shape[-2:]) != target:
            tensor = functional.interpolate(tensor, target, mode=resample, antialias=True)
            tensor = tensor.add_(0.5).floor_().clamp_(0, 255)  # halves up, as they do
    return tensor
