# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A stand-in for the package timm, which is not installed: one small image encoder under the name of Swin-T."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torchvision.transforms  # timm imports it, and this must work without it
from torch import Tensor, nn

from timm import data

__all__ = ["create_model", "data"]
__version__ = "0"
assert torchvision.transforms.InterpolationMode.BILINEAR


class _Features(nn.Module):
    """Features (B, h, w, C) of some of four levels, as timm's Swin returns them."""

    def __init__(self, out_indices: list[int], img_size: int, always_partition: bool) -> None:
        super().__init__()
        widths = (3, 8, 16, 32, 64)
        self.size = img_size, img_size
        assert always_partition
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 2 * step, step, padding=step // 2)
            for a, b, step in zip(widths[:-1], widths[1:], (4, 2, 2, 2), strict=True)
        )
        info = [
            {"module": f"layers.{i}", "num_chs": width, "index": i}
            for i, width in enumerate(widths[1:])
        ]
        self.feature_info = SimpleNamespace(
            info=info,
            out_indices=out_indices,
            get_dicts=lambda: [info[i] for i in out_indices],
            module_name=lambda: [info[i]["module"] for i in out_indices],
        )

    def forward(self, pixels: Tensor) -> list[Tensor]:
        assert pixels.shape[2:] == self.size
        levels = []
        for layer in self.layers:
            pixels = layer(pixels).relu()
            levels.append(pixels.permute(0, 2, 3, 1))
        return [levels[i] for i in self.feature_info.out_indices]


def create_model(
    name: str, *, pretrained: bool, out_indices: list[int], **settings: Any
) -> nn.Module:
    """Do what timm does with the settings of OmDet-Turbo's published configuration."""
    assert (name, pretrained) == ("swin_tiny_patch4_window7_224", False)
    settings.pop("features_only"), settings.pop("in_chans"), settings.pop("output_stride")
    return _Features(list(out_indices), **settings)
