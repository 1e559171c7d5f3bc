# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The size at which a model segments images: the checkpoint's own, or that of `LoadOptions.inference_size`."""

from __future__ import annotations

from zs_seg_ros.errors import ModelError

_MOST_TIMES_OWN = 4
"""The largest size in units of the checkpoint's own: it takes 16 times as long or more, and positions that were trained
for one size mean ever less so far from it."""


def choose_input_size(
    model: str, requested: int, own: tuple[int, int], *, multiple: int = 1, least: int = 32
) -> tuple[int, int]:
    """Choose the (height, width) at which a model segments images.

    requested: the short side in pixels, 0 for that of `own`, the checkpoint's own (height, width), whose proportions
    stay. multiple: of which all sides must be multiples, for example the side of a patch. least: the shortest side.

    Raises ModelError, which names the sides that are possible, for another one.
    """
    short = min(own)
    if requested in (0, short):
        return own
    least, most = -(-least // multiple) * multiple, short * _MOST_TIMES_OWN // multiple * multiple
    if requested % multiple or not least <= requested <= most:
        sides = "a whole number" if multiple == 1 else f"a multiple of {multiple}"
        raise ModelError(
            f"{model} cannot segment images at {requested} pixels; give {sides} from {least} to {most}, or 0 for its "
            f"own size of {short}"
        )
    height, width = (max(1, round(side * requested / short / multiple)) * multiple for side in own)
    return height, width
