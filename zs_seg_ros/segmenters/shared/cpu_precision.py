# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The precision that each family of models has on a CPU with instructions for bf16, as measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class CpuPrecision:
    """The precision that `precision: auto` chooses on a processor with AVX512-BF16 or AMX, and why."""

    precision: Literal["fp32", "bf16"]
    reason: str


CPU_PRECISIONS = {
    "clipseg": CpuPrecision("bf16", "2.0 times as fast with 8 prompts; 98.6 % of labels the same"),
    "owlv2": CpuPrecision("bf16", "with SAM 2 1.6 times as fast; 99.8 % of labels the same"),
    "sam2": CpuPrecision("bf16", "behind OWLv2 1.6 times as fast; 99.8 % of labels the same"),
    "tipsv2": CpuPrecision("bf16", "1.7 times as fast with 8 classes; 99.0 % of labels the same"),
    "dense": CpuPrecision("fp32", "1.6 times as fast; golden results hold on all machines"),
    "edgetam": CpuPrecision("bf16", "behind OWLv2 1.7 times as fast; 99.6 % of labels the same"),
    "eomt": CpuPrecision("fp32", "1.7 times as fast; random weights label too little to compare"),
    "florence2": CpuPrecision("fp32", "no faster: its answer takes as long"),
    "grounding-dino": CpuPrecision("fp32", "1.5 times as fast; random weights keep few labels"),
    "omdet-turbo": CpuPrecision("bf16", "1.9 times as fast; 98.1 % of labels the same"),
    "sam3": CpuPrecision("bf16", "1.5 times as fast with 4 classes; 99.8 % of labels the same"),
    "sam_hq": CpuPrecision("bf16", "behind OWLv2 1.9 times as fast; 93.0 % of labels the same"),
    "segformer": CpuPrecision("fp32", "1.1 times as fast: too little for other results"),
}
"""A family that is not listed has fp32. docs/models.md has the figures, and the command that measures them."""
