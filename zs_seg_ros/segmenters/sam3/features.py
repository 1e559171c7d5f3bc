# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The features of a vocabulary for SAM 3."""

from __future__ import annotations

from dataclasses import dataclass

from zs_seg_ros.segmenters.sam3.canvas import ExampleStrip
from zs_seg_ros.segmenters.sam3.network import TextFeatures


@dataclass(frozen=True, eq=False)
class Sam3Features:
    """The text embeddings of a vocabulary, and its example images.

    prompts: one entry per phrase (P). strips: one per class with example images (E), and visual: the text embeddings
    that go with them. class_of_prompt: for each phrase, and then each strip, the index of its class in the vocabulary.
    is_negative: for each of these whether it wins against its class.
    """

    prompts: tuple[TextFeatures, ...]
    strips: tuple[ExampleStrip, ...]
    visual: TextFeatures | None
    class_of_prompt: tuple[int, ...]
    is_negative: tuple[bool, ...]
