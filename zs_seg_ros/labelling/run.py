"""A whole job: slices, in this process or on a Ray cluster, then the results put together."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.errors import LabellingError
from zs_seg_ros.labelling.bag_output import replaced_topics, write_labelled_bag
from zs_seg_ros.labelling.coco_output import write_coco
from zs_seg_ros.labelling.plan import LabelRequest, Plan, Slice, make_plans
from zs_seg_ros.labelling.results import FrameResult, read_results
from zs_seg_ros.labelling.slice_results import label_slice, load_model, read_summary
from zs_seg_ros.labelling.work_folder import WorkFolder, open_work_folder


@dataclass(frozen=True)
class Task:
    """One slice to label, and where its results go."""

    plan: Plan
    part: Slice
    target: Path


OnFrames = Callable[[int], None]
Labeller = Callable[[LabelRequest, Sequence[Task], OnFrames], None]
"""Does all tasks; calls the last argument with the number of frames that were done, again and again."""


def label(request: LabelRequest, labeller: Labeller | None = None) -> Counter[str]:
    """Do it all; an earlier run that was interrupted is gone on with.

    Returns what could not be read: sentence → how often. Raises ZeroShotSegmentationError, and leaves what is finished
    for the next run with the same request.
    """
    plans = make_plans(request)
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
        work.hand_over([plan.name for plan in plans])
    return problems


def warn(warnings: Iterable[str]) -> None:
    """On stderr, above a progress bar."""
    for warning in warnings:
        tqdm.write(f"warning: {warning}", file=sys.stderr)


def _tasks(plans: Sequence[Plan], work: WorkFolder) -> tuple[int, list[Task]]:
    """The number of frames that an earlier run has done, and what there is left to do."""
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
    """One task after the other, in this process."""
    model = load_model(request)
    warn(model.warnings)
    for plan in dict.fromkeys(task.plan for task in tasks):
        with Bag(plan.bag) as bag:
            for task in tasks:
                if task.plan == plan:
                    label_slice(request, plan, task.part, task.target, bag, model, on_frames)


def _join(request: LabelRequest, plan: Plan, work: WorkFolder) -> Counter[str]:
    """Put a recording's slices together. Returns what could not be read."""
    parts = [work.part(plan.name, part.number) for part in plan.slices]
    missing = next((part for part in parts if not part.is_dir()), None)
    if missing is not None:
        raise LabellingError(
            f"{missing} is missing although its slice was labelled: OUT must be a folder that all workers share"
        )
    results = read_results(parts, plan.cameras, request.settings.track)
    with Bag(plan.bag) as bag, work.result(plan.name) as folder:
        _write(request, plan, bag, results, folder)
        return sum((read_summary(part).problems for part in parts), Counter[str]())


def _write(
    request: LabelRequest,
    plan: Plan,
    bag: Bag,
    results: Iterator[FrameResult],
    folder: Path,
) -> None:
    vocabulary = replace(request.vocabulary, stamp_ns=bag.start_ns)
    if request.form == "coco":
        topics = [bag.topics[camera.image] for camera in plan.cameras]
        steps = write_coco(folder, bag, plan.cameras, vocabulary, results)
    else:
        topics = list(bag.topics.values())
        if replaced := replaced_topics(bag, plan.cameras):
            warn([f"the results that {plan.bag} has are replaced: {', '.join(replaced)}"])
        steps = write_labelled_bag(folder, request.form, bag, plan.cameras, vocabulary, results)
    total = sum(topic.message_count for topic in topics)
    for _ in tqdm(steps, total=total, unit="message", desc="writing", disable=None):
        pass  # each step writes
