# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The configuration of the dense embedding models, saved as the checkpoint's config.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zs_seg_ros.files import write_output
from zs_seg_ros.shown import quoted

_MOST = {"embedding_dim": 1024, "colour_dim": 1024, "max_words": 1000, "image_pixels": 4096 * 3072}
_LEAST = {"image_pixels": 256}
_MOST_WIDTH, _MOST_WORDS = 1024, 100_000
RULE_LISTS = ("silent_words", "ignored_words", "leading_words")
"""The fields that `WordRules` reads."""
_OPTIONAL_LISTS = ("backbone_widths", "support")
_MOST_SUPPORT = 100
_WORD_LISTS = ("words", *RULE_LISTS)


@dataclass(frozen=True)
class DenseConfig:
    """The configuration of the network, saved as the checkpoint's config.json.

    widths: channels of the image encoder at a half, a quarter, an eighth and a sixteenth of the image's size.
    backbone_widths: channels of the first layer and of the five stages of the pretrained encoder; empty: the network
    has none.
    support: the numbers of `with_support`; empty: logits stay as they are.
    image_pixels: images are resized to about this many pixels, as in training.
    caution: one sentence that every user of the checkpoint must read; may be empty.
    silent_words, ignored_words, leading_words: see WordRules; words of `words` or others.
    """

    words: tuple[str, ...]
    widths: tuple[int, int, int, int] = (24, 48, 96, 128)
    embedding_dim: int = 64
    colour_dim: int = 16
    max_words: int = 12
    image_pixels: int = 320 * 240
    caution: str = ""
    silent_words: tuple[str, ...] = ()
    ignored_words: tuple[str, ...] = ()
    leading_words: tuple[str, ...] = ()
    backbone_widths: tuple[int, ...] = ()
    support: tuple[float, ...] = ()
    model_type: str = "zs_seg_dense"

    def __post_init__(self) -> None:
        """Raise ValueError for fields of other types or beyond what this network is made for."""
        numbers = {name: getattr(self, name) for name in _MOST}
        for name in ("widths", "backbone_widths"):
            numbers |= {f"{name}[{i}]": width for i, width in enumerate(getattr(self, name))}
        for name, value in numbers.items():
            least, most = _LEAST.get(name, 1), _MOST.get(name, _MOST_WIDTH)
            if type(value) is not int or not least <= value <= most:
                raise ValueError(
                    f"{name} is {quoted(value)}; it must be an integer from {least} to {most}"
                )
        if len(self.widths) != 4 or self.widths[0] < 2:
            raise ValueError("widths must be four numbers, the first of them 2 or more")
        if len(self.backbone_widths) not in (0, 6):
            raise ValueError("backbone_widths must be six numbers or none")
        if len(self.support) not in (0, 3) or not all(_is_limit(limit) for limit in self.support):
            raise ValueError(
                f"support must be three numbers from -{_MOST_SUPPORT} to {_MOST_SUPPORT}, or none"
            )
        if self.colour_dim >= self.embedding_dim:
            raise ValueError("colour_dim must be less than embedding_dim")
        for name in _WORD_LISTS:
            words = getattr(self, name)
            if len(words) > _MOST_WORDS or not all(isinstance(word, str) for word in words):
                raise ValueError(f"{name} must be at most {_MOST_WORDS} texts")
        if not isinstance(self.caution, str):
            raise ValueError(f"caution is {quoted(self.caution)}; it must be text")

    @classmethod
    def of(cls, fields: dict[str, Any]) -> DenseConfig:
        """Make a configuration of the content of a config.json. Raises KeyError, TypeError or ValueError."""
        lists = {name: fields[name] for name in ("words", "widths")}
        lists |= {n: fields[n] for n in (*_WORD_LISTS, *_OPTIONAL_LISTS) if n in fields}
        for name, value in lists.items():
            if not isinstance(value, list):
                raise ValueError(f"{name} is {quoted(value)}; it must be a list")
        return cls(**fields | {name: tuple(value) for name, value in lists.items()})

    def write(self, path: Path) -> None:
        """Write config.json."""
        write_output(path, (json.dumps(asdict(self), indent=1) + "\n").encode())


def _is_limit(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= _MOST_SUPPORT
