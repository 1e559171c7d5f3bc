# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Load every family, LLMDet, TIPSv2 L and OmDet-Turbo in their published layouts from a folder; print "loaded".

Run as a process of its own, with the environment of a user who is not offline.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from families import FAMILIES
from inputs import noise
from published_layout import write_omdet_turbo_of_timm
from test_llmdet import LAYOUTS, write_llmdet

from zs_seg_ros import load_segmenter
from zs_seg_ros.segmenters.boxes_then_masks.omdet_turbo import OmDetTurboDetector
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.shared.timm_package import require_timm
from zs_seg_ros.testing.sam2 import small_sam2_video_config, write_sam2
from zs_seg_ros.testing.tipsv2 import published_tipsv2_l14_config, write_tipsv2


def logits_of(folder: Path) -> torch.Tensor:
    detector = OmDetTurboDetector(str(folder), folder, LoadOptions(device="cpu"))
    pixels = torch.from_numpy(noise(64, 64)).permute(2, 0, 1)[None].float() / 255
    [text] = detector.encode(["red mug", "car"])
    return detector.logits_and_boxes(detector.encode_images(pixels), text)[0]


def main() -> None:
    torch.set_num_threads(1)
    root = Path(sys.argv[1])
    for family in FAMILIES:
        folder = root / family.name
        folder.mkdir()
        load_segmenter(family.write(folder)).close()
    for size in LAYOUTS:
        folder = root / f"llmdet {size}"
        write_llmdet(folder / "llmdet", size)
        write_sam2(folder / "sam2", small_sam2_video_config())
        load_segmenter(f"{folder / 'llmdet'} + {folder / 'sam2'}").close()
    folder = root / "tipsv2 l"
    write_tipsv2(folder, published_tipsv2_l14_config(vision_layers=2, text_layers=1))
    load_segmenter(str(folder)).close()
    require_timm("x")
    described, named = root / "described", root / "named"
    for folder, legacy in ((described, False), (named, True)):
        write_omdet_turbo_of_timm(folder, legacy=legacy)
    assert torch.equal(logits_of(described), logits_of(named))
    print("loaded")


if __name__ == "__main__":
    main()
