# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Runs a whole labelling job: labels slices, in this process or on a Ray cluster, then joins the results."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.errors import LabellingError, NoImagesError
from zs_seg_ros.labelling.bag_output import copied_topics, replaced_topics, write_labelled_bag
from zs_seg_ros.labelling.coco_output import write_coco
from zs_seg_ros.labelling.plan import LabelRequest, Plan, Slice, make_plans
from zs_seg_ros.labelling.results import LabelledFrame, read_results
from zs_seg_ros.labelling.slice_results import label_slice, read_summary
from zs_seg_ros.labelling.work_folder import WorkFolder, open_work_folder
from zs_seg_ros.segmenters.loaded_model import load_model

_MAX_REASONS = 3


@dataclass(frozen=True)
class Task:
    """A slice to label, and the folder for its results."""

    plan: Plan
    part: Slice
    target: Path


OnFrames = Callable[[int], None]
Labeller = Callable[[LabelRequest, Sequence[Task], OnFrames], None]
"""A function that executes all tasks, and calls the last argument with each number of finished frames."""


def label(request: LabelRequest, labeller: Labeller | None = None) -> Counter[str]:
    """Label all bags of the request; continue an earlier run that was interrupted.

    Return messages that could not be read, as error text → number. Raises ZeroShotSegmentationError, and keeps the
    finished parts for the next run with the same request.
    """
    plans = make_plans(request)
    _warn_about_bags(request, plans)
    with open_work_folder(request) as work:
        finished, tasks = _tasks(plans, work)
        total = sum(plan.frames for plan in plans)
        with tqdm(total=total, initial=finished, unit="frame", disable=None) as bar:
            if tasks:
                (labeller or label_here)(request, tasks, bar.update)
        problems: Counter[str] = Counter()
        for plan in plans:
            if not work.is_finished(plan.name):
                problems += _join(request, plan, work)
        work.publish([plan.name for plan in plans])
    return problems


def warn(warnings: Iterable[str]) -> None:
    """Print warnings on stderr, above a progress bar."""
    for warning in warnings:
        tqdm.write(f"warning: {warning}", file=sys.stderr)


def _warn_about_bags(request: LabelRequest, plans: Sequence[Plan]) -> None:
    """Warn about damage of the bags and about topics that cannot be copied, before the work begins."""
    for plan in plans:
        warn(plan.warnings)
        if request.output_format != "coco":
            with Bag(plan.bag) as bag:
                warn(copied_topics(bag, plan.cameras)[1])


def _tasks(plans: Sequence[Plan], work: WorkFolder) -> tuple[int, list[Task]]:
    """Return the number of frames that an earlier run has finished, and the remaining tasks."""
    finished, tasks = 0, []
    for plan in plans:
        if work.is_finished(plan.name):
            finished += plan.frames
            continue
        for part in plan.slices:
            target = work.part(plan.name, part.number)
            if target.is_dir():
                finished += read_summary(target).frames
            else:
                tasks.append(Task(plan, part, target))
    return finished, tasks


def label_here(request: LabelRequest, tasks: Sequence[Task], on_frames: OnFrames) -> None:
    """Execute the tasks one after the other in this process."""
    model = load_model(request.model, request.options, request.vocabulary)
    warn(model.warnings)
    for plan in dict.fromkeys(task.plan for task in tasks):
        with Bag(plan.bag) as bag:
            for task in tasks:
                if task.plan == plan:
                    label_slice(request, plan, task.part, task.target, bag, model, on_frames)


def _join(request: LabelRequest, plan: Plan, work: WorkFolder) -> Counter[str]:
    """Join the slices of a bag. Return messages that could not be read, as error text → number."""
    parts = [work.part(plan.name, part.number) for part in plan.slices]
    missing = next((part for part in parts if not part.is_dir()), None)
    if missing is not None:
        raise LabellingError(
            f"{missing} is missing although its slice was labelled: OUT must be in a folder that all workers share"
        )
    _require_images(plan, parts)
    results = read_results(parts, plan.cameras, request.settings.track)
    with Bag(plan.bag) as bag, work.result(plan.name) as folder:
        problems = sum((read_summary(part).problems for part in parts), Counter[str]())
        _write(request, plan, bag, results, folder)
        warn(w for w in bag.warnings if w not in plan.warnings and w not in problems)
        return problems


def _require_images(plan: Plan, parts: Sequence[Path]) -> None:
    """Raise LabellingError, with up to three reasons, when not one image of the bag could be read."""
    summaries = [read_summary(part) for part in parts]
    if sum(summary.frames for summary in summaries):
        return
    problems = sum((summary.problems for summary in summaries), Counter[str]())
    reasons = "; ".join(
        f"{times} times: {problem}" for problem, times in problems.most_common(_MAX_REASONS)
    )
    topics = ", ".join(camera.image for camera in plan.cameras)
    raise NoImagesError(
        f"none of the {plan.frames} images of {topics} in {plan.bag} could be read: {reasons or 'it has none'}"
    )


def _write(
    request: LabelRequest,
    plan: Plan,
    bag: Bag,
    results: Iterator[LabelledFrame],
    folder: Path,
) -> None:
    vocabulary = replace(request.vocabulary, stamp_ns=bag.start_ns)
    if request.output_format == "coco":
        topics = [bag.topics[camera.image] for camera in plan.cameras]
        steps = write_coco(folder, bag, plan.cameras, vocabulary, results)
    else:
        topics = list(bag.topics.values())
        if replaced := replaced_topics(bag, plan.cameras):
            warn([f"earlier results in {plan.bag} are replaced: {', '.join(replaced)}"])
        steps = write_labelled_bag(
            folder, request.output_format, bag, plan.cameras, vocabulary, results
        )
    total = sum(topic.message_count for topic in topics)
    for _ in tqdm(steps, total=total, unit="message", desc="writing", disable=None):
        pass  # each iteration writes a message
