# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Counts what CLIPSeg multiplies for one image with one prompt, and with several.

    python benchmarks/clipseg_operations.py [--prompts 1 32] [--side 352]

The published shape (CLIPSeg rd64 refined), without weights and without computing anything: torch's flop counter adds up
matrix products, convolutions and attention; two operations are one multiplication and one addition. The ratio of the
last number of prompts to the first is what the time's ratio would be if every product took equally long.
"""

from __future__ import annotations

import argparse
from unittest.mock import patch

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

from zs_seg_ros.segmenters.clipseg.network import _CHUNK, ClipSegNetwork
from zs_seg_ros.testing.clipseg import published_clipseg_config


def operations(side: int, counts: list[int]) -> tuple[int, list[int]]:
    """Return the operations of the image encoder, and those of the decoder for each number of prompts."""
    config = published_clipseg_config()
    config.vision_config.image_size = side
    network = _network(config)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        image = network.encode_images(torch.zeros(1, 3, side, side, device="meta"))[0]
    of_image = counter.get_total_flops()
    of_prompts = []
    for count in counts:
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter:
            network.decode(image, torch.zeros(count, config.projection_dim, device="meta"))
        of_prompts.append(counter.get_total_flops())
    return of_image, of_prompts


def _network(config: CLIPSegConfig) -> ClipSegNetwork:
    with torch.device("meta"):
        model = CLIPSegForImageSegmentation(config).eval()
    with patch.dict(_CHUNK, meta=1):  # one prompt at a time, as on a CPU
        return ClipSegNetwork(model)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--side", type=int, default=352, help="of the image, a multiple of 16")
    options = parser.parse_args()
    of_image, of_prompts = operations(options.side, options.prompts)
    print(f"image encoder: {of_image / 2e9:.2f} billion products")
    for count, of_decoder in zip(options.prompts, of_prompts, strict=True):
        print(f"decoder, {count} prompts: {of_decoder / 2e9:.2f} billion products")
    ratio = (of_image + of_prompts[-1]) / (of_image + of_prompts[0])
    print(f"ratio of {options.prompts[-1]} to {options.prompts[0]} prompts: {ratio:.3f}")


if __name__ == "__main__":
    main()
