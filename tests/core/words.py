# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The words that the project avoids, with patterns for prose and for identifiers, and where each may stand after all.

CONTRIBUTING.md has the same list for people; test_words.py compares the two.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_NOTHING = r"(?!)"


@dataclass(frozen=True)
class Rule:
    """A word to avoid, as CONTRIBUTING.md shows it, and the word to use instead.

    prose: a pattern for text, any case. identifier: a pattern for one name of Python, in snake case.
    caught, passes: a text, or a statement of Python, that the rule catches, and a similar one that it lets through.
    """

    avoid: str
    use: str
    caught: str
    passes: str
    prose: str = _NOTHING
    identifier: str = _NOTHING


RULES = (
    Rule(
        "picture",
        "image",
        caught="A picture of the table.",
        passes="An image of the table, which depicts a mug.",
        prose=r"\bpictures?\b",
        identifier=r"(.*_)?pictures?(_.*)?",
    ),
    Rule(
        "thing",
        "object (of a class), instance (of a mask)",
        caught="Two things of one class.",
        passes="Nothing is detected, or something else, or anything.",
        prose=r"\bthings?\b",
        identifier=r"(.*_)?things?(_.*)?",
    ),
    Rule(
        "looks at, looked at",
        "infers, segments, processes",
        caught="Images that the model has looked at.",
        passes="Look at the log.",
        prose=r"\b(looks|looked) at\b",
    ),
    Rule(
        "understands, understood",
        "parses, accepts, infers",
        caught="Words that the model understands.",
        passes="To understand the pipeline, read this page.",
        prose=r"\bunderst(ands|ood)\b",
        identifier=r"(.*_)?underst(ands?|ood)(_.*)?",
    ),
    Rule(
        "came in, went out",
        "received, published",
        caught="The time at which the image came in.",
        passes="The encoding in which it came; it went out of scope.",
        prose=r"\bcame in\b(?! \w+ (encoding|order)s?)|\bwent out\b(?! of)",
        identifier=r"(.*_)?(came_in|went_out)(_.*)?",
    ),
    Rule(
        "hand on",
        "forward, deliver",
        caught="The image is handed on to the worker.",
        passes="A hands-on example; the array is handed over; check by hand on your robot.",
        prose=r"\bhand(s|ed|ing) on\b",
        identifier=r"(.*_)?hand(s|ed)?_on(_.*)?",
    ),
    Rule(
        "nobody listens, nobody subscribes",
        "no subscribers",
        caught="Nobody subscribes to the overlay.",
        passes="The overlay has no subscribers.",
        prose=r"\bnobody (listens|subscribes|publishes)\b",
    ),
    Rule(
        "what is found, what was found",
        "detections, detected objects",
        caught="What was found in the image.",
        passes="The topic was not found; what was measured is in the table.",
        prose=r"\bwhat (is|was|has been) found\b",
    ),
    Rule(
        "found (as a variable)",
        "the noun: detections, boxes, paths",
        caught="found = segmenter.segment(batch)",
        passes="raise FileNotFoundError(path)",
        identifier=r"found(_.*)?",
    ),
    Rule(
        "wanted",
        "requested",
        caught="if wanted.overlay: draw()",
        passes="unwanted = set()",
        identifier=r"(.*_)?wanted(_.*)?",
    ),
    Rule(
        "best phrase, best of the phrases",
        "maximum over prompts",
        caught="The best of the phrases counts.",
        passes="The best threshold; a phrase in quotes.",
        prose=r"\bbest (of (the |its )?)?phrases?\b",
    ),
    Rule(
        "phrase (as an identifier)",
        "prompt",
        caught="for phrase in phrases: encode(phrase)",
        passes="paraphrase = 1",
        identifier=r"(.*_)?phrases?(_.*)?",
    ),
    Rule(
        "certainty, most certain",
        "confidence, arg-max",
        caught="The most certain class wins.",
        passes="Certain encodings are refused; the uncertainty of a certain pixel.",
        prose=r"\bcertainty\b|\b(more|most|less|least) certain\b",
    ),
    Rule(
        "side by side",
        "parallel, per-image threads",
        caught="Images are computed side by side.",
        passes="The side of the box.",
        prose=r"\bside by side\b",
    ),
    Rule(
        "in parts",
        "chunked",
        caught="Attention is computed in parts.",
        passes="In parts of the image; in part.",
        prose=r"\bin parts\b(?! of)",
    ),
    Rule(
        "is told of",
        "receives, is notified of",
        caught="Is told of every frame.",
        passes="The log tells why.",
        prose=r"\b(is|are|was|were) told( of)?\b",
    ),
    Rule(
        "how it is",
        "the noun: status, state",
        caught="How it is: seconds since the last frame.",
        passes="How it is computed.",
        prose=r"\bhow (it|he|she|everything) is\b(?! \w)",
    ),
)


@dataclass(frozen=True)
class Allowed:
    """Text that a rule would catch and that stays. file: from the root on; a folder stands for all in it."""

    file: str
    text: str
    reason: str

    def covers(self, finding: Finding) -> bool:
        in_file = finding.place.startswith((f"{self.file}:", f"{self.file}/"))
        return in_file and self.text in finding.text


ALLOWED = (
    Allowed("docs/vocabulary.md", "thing", "examples of prompts that are too vague"),
    Allowed(
        "docs/decisions/0010-the-more-specific-class-wins.md",
        "blue thing",
        "an example of such a prompt",
    ),
    Allowed("zs_seg_ros/vocabulary/vague_words.py", "thing", "a word that describes every object"),
    Allowed("benchmarks/vocabulary_warnings.py", "thing", "a prompt that is measured"),
    Allowed("zs_seg_ros/vocabulary/precedence.py", "thing", "a word that describes every object"),
    Allowed("scripts/write_prompt_images.py", "blue thing", "a prompt that is drawn"),
    Allowed("training/names.py", "thing", "a word of the training prompts"),
    Allowed("training/prompts.py", "thing", "as above"),
    Allowed("training/record.py", "things", "a key of ground_truth.json"),
    Allowed(
        "zs_seg_ros/cli/segment_arguments.py",
        '{"picture":',
        "a key of the JSON of `zs-seg segment`",
    ),
    Allowed("zs_seg_ros/cli/segment.py", "picture", "as above"),
    Allowed("zs_seg_ros/cli/replay_arguments.py", "--pictures", "an alias of --images"),
    Allowed("zs_seg_ros/segmenters/tipsv2", "things", "a prompt for anything, as LERF has it"),
)


@dataclass(frozen=True)
class Finding:
    """A place where a rule catches something. text: the line, or the name."""

    place: str
    rule: Rule
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text!r}: write {self.rule.use} instead of {self.rule.avoid}"


def in_text(text: str, place: str, first_line: int = 1) -> Iterator[Finding]:
    """What the rules for prose catch in a text; a match may go over the end of a line."""
    lines = text.splitlines()
    for rule in RULES:
        for match in re.finditer(rule.prose.replace(" ", r"\s+(?:#\s*)?"), text, re.IGNORECASE):
            line = text.count("\n", 0, match.start())
            yield Finding(f"{place}:{first_line + line}", rule, lines[line].strip())


def in_python(source: str, place: str) -> Iterator[Finding]:
    """What the rules catch in a module: prose in strings and comments, and every identifier."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", token.string).lower().strip("_")
            for rule in RULES:
                if re.fullmatch(rule.identifier, name):
                    yield Finding(f"{place}:{token.start[0]}", rule, token.string)
    yield from in_text(_comments(source), place)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from in_text(node.value, place, node.lineno)


def _comments(source: str) -> str:
    """The comments, each in its own line; other lines are empty."""
    lines = [""] * (source.count("\n") + 1)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0] - 1] = token.string
    return "\n".join(lines)


def in_file(path: Path, root: Path) -> list[Finding]:
    place, text = str(path.relative_to(root)), path.read_text(encoding="utf-8")
    return list(in_python(text, place) if path.suffix == ".py" else in_text(text, place))
