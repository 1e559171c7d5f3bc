# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Measures which differences replay_test reports: results of other arithmetic, noise in weights, and moved thresholds.

    scripts/run.sh python benchmarks/replay_tolerances.py [--every 2] [--noise-seeds 3]

Each run infers the images of the golden file of the shipped recording with `tabletop` and compares the results with the
file's, in a process of its own. Honest runs change the arithmetic alone: threads, images in a batch, oneDNN, and the
instructions that PyTorch uses. The others have normal noise of a share of the standard deviation of each weight tensor,
or another `default_threshold`. Without positions and identities, which the node computes from the masks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.bags.bag_cameras import require_camera
from zs_seg_ros.files import write_output
from zs_seg_ros.images.message_images import image_from_message
from zs_seg_ros.perception.masks import extract_objects
from zs_seg_ros.replay.bag_frames import frames
from zs_seg_ros.replay.comparison import Comparison
from zs_seg_ros.replay.golden import Golden
from zs_seg_ros.replay.results import FrameResult, ObjectResult
from zs_seg_ros.replay.verdict import Tolerances
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.loaded_model import LoadedModel, load_model
from zs_seg_ros.types import Batch, RgbImage
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parents[1]
RECORDING = ROOT / "recordings" / "tabletop"
MODEL = ROOT / "models" / "tabletop"


@dataclass(frozen=True)
class Run:
    """One run. threads: of PyTorch. batch: images. noise: share of the standard deviation. capability: of ATen."""

    name: str
    threads: int = 1
    batch: int = 1
    mkldnn: bool = True
    capability: str = ""
    noise: float = 0.0
    seed: int = 0
    threshold: float = 0.0


HONEST = (
    Run("as the golden file", threads=2),
    Run("1 thread"),
    Run("3 threads", threads=3),
    Run("4 images in a batch", batch=4),
    Run("7 images in a batch", batch=7, threads=2),
    Run("without oneDNN", mkldnn=False),
    Run("without oneDNN, 5 images in a batch", mkldnn=False, batch=5),
    Run("AVX2", capability="avx2"),
    Run("no vector instructions", capability="default"),
    Run("neither vector instructions nor oneDNN", capability="default", mkldnn=False, threads=2),
)


def changed(seeds: int) -> list[Run]:
    """Return the runs that are to be reported."""
    noisy = [Run(f"1 % noise in weights, seed {n}", noise=0.01, seed=n) for n in range(seeds)]
    moved = [Run(f"threshold {t:+}", threshold=t) for t in (0.02, -0.02)]
    return [*noisy, *moved]


def infer(run: Run, every: int) -> dict[str, object]:
    """Run in this process: return the worst IoU, and what the comparison says about it."""
    torch.set_num_threads(run.threads)
    with (
        Golden(RECORDING / "tabletop.golden") as golden,
        tempfile.TemporaryDirectory() as folder,
        nullcontext() if run.mkldnn else torch.backends.mkldnn.flags(enabled=False),
    ):
        settings = golden.settings
        vocabulary = Vocabulary().changed_to(settings.classes)
        model = load_model(_weights(run, Path(folder)), LoadOptions(device="cpu"), vocabulary)
        comparison = Comparison(settings.names, settings.names, Tolerances())
        exact = True
        threshold = float(settings.settings["default_threshold"]) + run.threshold
        for images, expected in _batches(golden, run.batch, every):
            for now, golden_result in zip(
                _results(model, images, threshold, settings.settings), expected, strict=True
            ):
                comparison.add(_as_inferred(golden_result), now)
                exact = exact and np.array_equal(golden_result.label, now.label)
        verdict = comparison.verdict()
    worst = min(verdict.classes, key=lambda c: c.iou)
    return {
        "name": run.name,
        "worst": worst.iou,
        "class": worst.name,
        "mean": verdict.mean_iou,
        "objects": sum(c.missed + c.new for c in verdict.classes),
        "exact": exact,
        "failed": not verdict.passed,
    }


def _as_inferred(result: FrameResult) -> FrameResult:
    """Return a result of the golden file without what the node computes from the masks."""
    bare = (replace(each, track_id=0, position_m=None) for each in result.objects)
    return replace(result, objects=tuple(bare))


def _weights(run: Run, folder: Path) -> str:
    """Return the built-in model, or a copy of it with noise."""
    if not run.noise:
        return "tabletop"
    generator = np.random.default_rng(run.seed)
    weights = load_file(MODEL / "model.safetensors")
    noisy = {
        name: np.asarray(w + run.noise * w.std() * generator.standard_normal(w.shape), w.dtype)
        for name, w in weights.items()
        if not name.endswith("running_var")  # a variance below 0 gives no numbers at all
    }
    save_file(weights | noisy, folder / "model.safetensors")
    write_output(folder / "config.json", (MODEL / "config.json").read_bytes())
    return str(folder)


def _batches(
    golden: Golden, size: int, every: int
) -> Iterator[tuple[tuple[RgbImage, ...], tuple[FrameResult, ...]]]:
    [camera] = golden.settings.cameras
    with Bag(RECORDING) as bag:
        topic = require_camera(bag, camera.name, camera.transport, None)
        every_frame = frames(bag, [topic], golden.settings.every)
        taken = (
            (image_from_message(frame.image.content), result)
            for number, frame in enumerate(every_frame)
            if number % every == 0 and (result := golden.frame(camera.name, frame.index))
        )
        while batch := tuple(islice(taken, size)):
            images, results = zip(*batch, strict=True)
            yield images, results


def _results(
    model: LoadedModel,
    images: tuple[RgbImage, ...],
    threshold: float,
    settings: dict[str, bool | int | float | str],
) -> Iterator[FrameResult]:
    vocabulary = model.encoded.vocabulary
    batch = Batch(images, vocabulary.thresholds(threshold))
    names = dict(zip(vocabulary.ids, vocabulary.names, strict=True))
    for segmentation in model.segmenter.segment(batch, model.encoded):
        objects = extract_objects(
            segmentation, int(settings["min_area"]), int(settings["max_objects"])
        )
        yield FrameResult(
            "camera",
            0,
            0,
            segmentation.label.astype(np.uint16),
            tuple(ObjectResult(names[o.class_id], o.score, o.box, o.mask) for o in objects),
        )


def measured(run: Run, every: int) -> dict[str, object]:
    """Run in a process of its own, whose environment chooses the instructions of ATen."""
    environment = os.environ | ({"ATEN_CPU_CAPABILITY": run.capability} if run.capability else {})
    command = [sys.executable, __file__, "--every", str(every), "--run", json.dumps(asdict(run))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{run.name} ended with {done.returncode}: {done.stderr[-2000:]}")
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--every", type=int, default=2, help="of the 60 images of the golden file")
    parser.add_argument("--noise-seeds", type=int, default=3)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(infer(Run(**json.loads(options.run)), options.every)))
        return
    print(f"{'run':<42} {'worst IoU':>9} {'mean':>8} {'objects':>7} {'exact':>6}  reported")
    false_alarms = missed = 0
    for runs, is_honest in ((HONEST, True), (changed(options.noise_seeds), False)):
        for run in runs:
            result = measured(run, options.every)
            reported = bool(result["failed"])
            false_alarms += is_honest and reported
            missed += not is_honest and not reported
            print(
                f"{run.name:<42} {result['worst']:9.5f} {result['mean']:8.5f} {result['objects']:>7} "
                f"{result['exact']!s:>6}  {reported} ({result['class']})",
                flush=True,
            )
    print(f"{false_alarms} false alarms in {len(HONEST)} honest runs, {missed} changes missed")


if __name__ == "__main__":
    main()
