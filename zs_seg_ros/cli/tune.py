# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`zs-seg tune`: chooses prompts and thresholds on labelled frames, and writes them as a vocabulary file."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from zs_seg_ros.cli.evaluate import TruthSource
from zs_seg_ros.evaluation.report import share
from zs_seg_ros.evaluation.truth import Truth, TruthFrame
from zs_seg_ros.evaluation.tune_on_frames import TuneTask, Tuning, tune_on_frames
from zs_seg_ros.evaluation.tune_runs import Progress
from zs_seg_ros.files import write_output
from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.shown import shown
from zs_seg_ros.vocabulary.vocabulary import Vocabulary
from zs_seg_ros.vocabulary.vocabulary_file import vocabulary_text


@dataclass(frozen=True)
class TuneRequest:
    """The arguments of the command line. vocabulary: None for the classes of the ground truth."""

    truth: TruthSource
    vocabulary: Vocabulary | None
    model: str
    options: LoadOptions
    threshold: float
    output: Path


def tune_vocabulary(request: TuneRequest) -> int:
    """Choose, print what was chosen, write the vocabulary, and return the exit code.

    Raises ZeroShotSegmentationError.
    """
    truth = request.truth.open()
    vocabulary = request.vocabulary or Vocabulary().changed_to(truth.classes)
    cache = request.output.with_name(f"{request.output.name}.partial")
    task = TuneTask(truth, request.truth.path, vocabulary, request.threshold, cache)

    def load() -> Segmenter[Any]:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results; a library may print
            return load_segmenter(request.model, request.options)

    def keep(tuning: Tuning) -> None:
        print(_table(tuning))
        for proposal in tuning.proposals:
            print(f"proposal: {proposal.text}")
        comments = (f"# proposal of zs-seg tune: {shown(p.text, 1000)}\n" for p in tuning.proposals)
        text = "".join(comments) + vocabulary_text(tuning.vocabulary)
        write_output(request.output, text.encode())

    tune_on_frames(task, load, lambda runs: _progress(truth, runs), keep)
    return 0


def _progress(truth: Truth, runs: int) -> Progress:
    """Return a progress bar over the frames, which says with how many vocabularies each is segmented."""

    def bar(frames: Iterable[TruthFrame]) -> Iterable[TruthFrame]:
        title = "1 vocabulary" if runs == 1 else f"{runs} vocabularies"
        wrapped: Iterable[TruthFrame] = tqdm(
            frames, title, total=len(truth), unit="image", disable=None
        )
        return wrapped

    return bar


def _table(tuning: Tuning) -> str:
    names = [shown(tuned.name) for tuned in tuning.classes]
    width = max(len("class"), *map(len, names))
    lines = [
        f"{'class':<{width}}  IoU now  tuned  what changes (IoU on frames left out of each choice)"
    ]
    for choice, prompts, name in zip(tuning.classes, tuning.prompts, names, strict=True):
        change = choice.problem
        if not change:
            change = f"threshold {choice.choice.threshold:g}"
            change += f", only the prompt {shown(prompts[0])}" if prompts else ""
        lines.append(
            f"{name:<{width}}    {share(choice.iou_before)}  {share(choice.iou_after)}  {change}"
        )
    before, after = tuning.mean_iou
    lines.append(f"mean IoU {share(before)} now, {share(after)} expected")
    return "\n".join(lines)
