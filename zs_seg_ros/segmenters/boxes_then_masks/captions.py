# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Splitting of phrases into captions, for detectors that encode several phrases as one text of limited length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Prompt = TypeVar("Prompt")


def split_into_captions(
    prompts: Sequence[Prompt], fits: Callable[[Sequence[Prompt]], bool]
) -> list[list[Prompt]]:
    """Split phrases, in order, greedily into captions that the model accepts.

    fits: returns whether the given phrases make a caption that is not too long; each phrase alone must fit.
    """
    captions: list[list[Prompt]] = []
    for prompt in prompts:
        if captions and fits([*captions[-1], prompt]):
            captions[-1].append(prompt)
        else:
            captions.append([prompt])
    return captions
