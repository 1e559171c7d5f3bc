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
import itertools
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from zs_seg_ros.cli.evaluate import TruthSource
from zs_seg_ros.errors import EvaluationError, FileError
from zs_seg_ros.evaluation.proposals import Proposal, proposals
from zs_seg_ros.evaluation.report import share
from zs_seg_ros.evaluation.truth import Truth, TruthFrame
from zs_seg_ros.evaluation.tune_runs import Candidate, Progress, Runs, candidates_of, is_cache
from zs_seg_ros.evaluation.tuning import LEAST_FRAMES, Counts, TunedClass, tune
from zs_seg_ros.files import remove_if_ours, write_output
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
    if len(truth) < LEAST_FRAMES:
        raise EvaluationError(
            f"{shown(str(request.truth.path), 300)} has {len(truth)} labelled frames, which do not suffice to choose "
            f"anything: label at least {LEAST_FRAMES}, better 50"
        )
    candidates = list(candidates_of(vocabulary))
    cache = request.output.with_name(f"{request.output.name}.partial")
    if cache.exists() and not is_cache(cache):
        raise FileError(
            f"{shown(str(cache), 300)} is not a file of zs-seg tune: move it, or name another output"
        )
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for results; a library may print
        segmenter = load_segmenter(request.model, request.options)
        progress = _progress(truth, 1 + len(candidates))
        runs = Runs(segmenter, truth, cache, progress, request.threshold)
        base = runs.counts(vocabulary, "as given")
        counts = [[base] for _ in vocabulary.classes]
        for candidate in candidates:
            what = shown(f"{vocabulary.names[candidate.number]}={candidate.prompts[0]}", 40)
            counts[candidate.number].append(runs.counts(candidate.vocabulary, what))
        segmenter.close()
    given = vocabulary.thresholds(request.threshold).astype(np.float64).round(6).tolist()
    tuned = tune(vocabulary.names, given, counts)
    print(_table(tuned, vocabulary, candidates))
    result = _changed(vocabulary, tuned, candidates)
    proposed = _proposals(base, vocabulary, truth)
    for proposal in proposed:
        print(f"proposal: {proposal.text}")
    comments = "".join(f"# proposal of zs-seg tune: {shown(p.text, 1000)}\n" for p in proposed)
    write_output(request.output, (comments + vocabulary_text(result)).encode())
    remove_if_ours(cache, is_cache)
    return 0


def _proposals(base: Counts, vocabulary: Vocabulary, truth: Truth) -> tuple[Proposal, ...]:
    if base.confusion is None:
        return ()
    return proposals(vocabulary.names, [c.name for c in truth.classes], base.confusion)


def _progress(truth: Truth, total: int) -> Progress:
    """Return a progress bar for each of `total` runs, which says which one it is."""
    numbers = itertools.count(1)

    def bar(frames: Iterable[TruthFrame], what: str) -> Iterable[TruthFrame]:
        title = f"{next(numbers)}/{total} {what}"
        wrapped: Iterable[TruthFrame] = tqdm(
            frames, title, total=len(truth), unit="image", disable=None
        )
        return wrapped

    return bar


def _prompts(tuned: TunedClass, number: int, candidates: Sequence[Candidate]) -> tuple[str, ...]:
    """Return the chosen prompts; empty: as given."""
    own = [candidate for candidate in candidates if candidate.number == number]
    return own[tuned.choice.candidate - 1].prompts if tuned.choice.candidate else ()


def _changed(
    vocabulary: Vocabulary, tuned: Sequence[TunedClass], candidates: Sequence[Candidate]
) -> Vocabulary:
    classes = []
    for number, (target, choice) in enumerate(zip(vocabulary.classes, tuned, strict=True)):
        prompts = _prompts(choice, number, candidates) or target.prompts
        threshold = target.threshold if choice.problem else choice.choice.threshold
        classes.append(replace(target, prompts=prompts, threshold=threshold))
    return Vocabulary().changed_to(classes)


def _table(
    tuned: Sequence[TunedClass], vocabulary: Vocabulary, candidates: Sequence[Candidate]
) -> str:
    names = [shown(t.name) for t in tuned]
    width = max(len("class"), *map(len, names))
    lines = [
        f"{'class':<{width}}  IoU now  tuned  what changes (IoU on frames left out of each choice)"
    ]
    for number, (choice, name) in enumerate(zip(tuned, names, strict=True)):
        change = choice.problem
        if not change:
            prompts = _prompts(choice, number, candidates)
            change = f"threshold {choice.choice.threshold:g}"
            change += f", only the prompt {shown(prompts[0])}" if prompts else ""
        lines.append(
            f"{name:<{width}}    {share(choice.iou_before)}  {share(choice.iou_after)}  {change}"
        )
    before = float(np.mean([t.iou_before for t in tuned]))
    after = float(np.mean([t.iou_after for t in tuned]))
    lines.append(f"mean IoU {share(before)} now, {share(after)} expected")
    return "\n".join(lines)
