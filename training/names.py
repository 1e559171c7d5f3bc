# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The kinds of objects on the table, their colours, and the words for both.

All training prompts consist of these words. `HELD_OUT_PAIRS` never occur in training, neither in an image nor
in a prompt: the evaluation measures on them whether the model combines known words ("zero-shot").
"""

from __future__ import annotations

KINDS = (
    "duck",
    "soccer ball",
    "mug",
    "lego brick",
    "teddy bear",
    "block",
    "cube",
    "ball",
    "cylinder",
    "ring",
    "cone",
    "star",
)
COLOURS = (
    "red",
    "green",
    "blue",
    "yellow",
    "orange",
    "purple",
    "white",
    "black",
    "pink",
    "brown",
)

KIND_SYNONYMS: dict[str, tuple[str, ...]] = {
    "duck": ("duck", "toy duck", "rubber duck"),
    "soccer ball": ("soccer ball", "football"),
    "mug": ("mug", "cup", "coffee mug"),
    "lego brick": ("lego brick", "lego", "toy brick"),
    "teddy bear": ("teddy bear", "teddy", "toy bear"),
    "block": ("block", "wooden block", "plank"),
    "cube": ("cube", "box", "dice"),
    "ball": ("ball", "sphere"),
    "cylinder": ("cylinder", "can", "tube"),
    "ring": ("ring", "donut"),
    "cone": ("cone", "traffic cone"),
    "star": ("star", "toy star"),
}
COLOUR_SYNONYMS: dict[str, tuple[str, ...]] = {
    colour: (colour,) for colour in COLOURS if colour != "purple"
} | {"purple": ("purple", "violet")}

Pair = tuple[str, str]
"""(colour, kind)"""
IGNORE = 255
"""In an image of pairs: too little of an object is visible to name it."""

# Words that the model leaves out of a prompt: articles without a word, attributes with a warning.
SILENT_WORDS = ("a", "an", "some", "the", "thing")
IGNORED_WORDS = (
    "big",
    "ceramic",
    "coffee",
    "large",
    "little",
    "metal",
    "plastic",
    "rubber",
    "small",
    "tiny",
    "toy",
    "traffic",
    "wooden",
)

# Two colours of every kind, a fifth of all pairs. Written out, so that the list can be read without running code.
HELD_OUT_PAIRS: frozenset[Pair] = frozenset(
    {
        ("red", "duck"),
        ("purple", "duck"),
        ("yellow", "soccer ball"),
        ("black", "soccer ball"),
        ("white", "mug"),
        ("green", "mug"),
        ("brown", "lego brick"),
        ("orange", "lego brick"),
        ("blue", "teddy bear"),
        ("pink", "teddy bear"),
        ("purple", "block"),
        ("red", "block"),
        ("pink", "cube"),
        ("yellow", "cube"),
        ("green", "ball"),
        ("brown", "ball"),
        ("orange", "cylinder"),
        ("blue", "cylinder"),
        ("white", "ring"),
        ("red", "ring"),
        ("yellow", "cone"),
        ("purple", "cone"),
        ("black", "star"),
        ("green", "star"),
    }
)
ALL_PAIRS: tuple[Pair, ...] = tuple((colour, kind) for colour in COLOURS for kind in KINDS)
SEEN_PAIRS: tuple[Pair, ...] = tuple(pair for pair in ALL_PAIRS if pair not in HELD_OUT_PAIRS)


def known_words() -> tuple[str, ...]:
    """Return every word that a training prompt can contain, sorted."""
    prompts = [
        prompt
        for synonyms in (*KIND_SYNONYMS.values(), *COLOUR_SYNONYMS.values())
        for prompt in synonyms
    ]
    return tuple(
        sorted({word for prompt in prompts for word in prompt.split()} | {"thing", "a", "the"})
    )


def colour_words() -> tuple[str, ...]:
    """Return every word for a colour, sorted; prompts are embedded with the colour first."""
    return tuple(sorted({word for words in COLOUR_SYNONYMS.values() for word in words}))
