# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Prompts are encoded once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from zs_seg_ros.segmenters.shared.prompt_cache import PromptCache


class Encoder:
    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, prompts: Sequence[str]) -> list[str]:
        self.calls.append(list(prompts))
        if "bad" in prompts:
            raise ValueError("bad")
        return [prompt.upper() for prompt in prompts]


def test_only_new_prompts_are_encoded_and_the_order_is_kept() -> None:
    cache, encoder = PromptCache[str, str](), Encoder()
    assert cache.get(["duck", "mug", "duck"], encoder) == ["DUCK", "MUG", "DUCK"]
    assert cache.get(["car", "duck"], encoder) == ["CAR", "DUCK"]
    assert cache.get(["mug"], encoder) == ["MUG"]
    assert encoder.calls == [["duck", "mug"], ["car"]]


def test_an_error_of_the_encoder_leaves_the_cache_unchanged() -> None:
    cache, encoder = PromptCache[str, str](), Encoder()
    cache.get(["duck"], encoder)
    with pytest.raises(ValueError, match="bad"):
        cache.get(["duck", "bad"], encoder)
    assert cache.get(["duck"], encoder) == ["DUCK"]
    assert encoder.calls == [["duck"], ["bad"]]


def test_the_least_recently_used_prompt_is_evicted() -> None:
    cache, encoder = PromptCache[str, str](capacity=3), Encoder()
    for prompt in "abcd":
        cache.get([prompt, "a"], encoder)
    assert cache.get(["a", "d"], encoder) == ["A", "D"]
    assert len(encoder.calls) == 4
    cache.get(["b"], encoder)
    assert encoder.calls[-1] == ["b"]


def test_a_call_with_more_prompts_than_the_capacity_returns_all_results() -> None:
    assert PromptCache[str, str](capacity=2).get(list("abcde"), Encoder()) == list("ABCDE")
