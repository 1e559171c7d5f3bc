"""How fast CLIPSeg is here, next to transformers' own pipeline, in one run.

    python benchmarks/clipseg.py [--model FOLDER_OR_ID] [--phrases 1 8 32] [--repeats 3] [--json FILE]

Without --model, the shape of CIDAS/clipseg-rd64-refined with random weights: the cost does not depend on them.
Reference: processor and forward pass with one copy of the picture for each phrase, which ends with logits of 352x352.
Ours: `segment`, which goes on to a label image of the picture's size. The two take turns; medians are compared. On a
machine that is busy with other things compare the processor times, best with --threads 1: those hardly suffer.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from transformers import CLIPSegForImageSegmentation, CLIPSegProcessor, CLIPTokenizer
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from zs_seg_ros.segmenters import LoadOptions, load_segmenter
from zs_seg_ros.segmenters.checkpoint import find_checkpoint
from zs_seg_ros.testing.clipseg import published_clipseg_config, write_clipseg
from zs_seg_ros.types import Batch, Picture
from zs_seg_ros.vocabulary import TargetClass, Vocabulary

COLOURS = ("red", "green", "blue", "yellow", "orange", "purple", "white", "black")
THINGS = ("mug", "duck", "ball", "brick", "bear", "cube", "shoe", "lamp")
PHRASES = [f"{colour} {thing}" for thing in THINGS for colour in COLOURS]


@dataclass
class Times:
    """Seconds by the clock and by the processors, one of each per repeat."""

    wall_s: list[float] = field(default_factory=list)
    processor_s: list[float] = field(default_factory=list)

    def measure(self, work: Callable[[], object]) -> None:
        wall, processor = time.perf_counter(), time.process_time()
        work()
        self.processor_s.append(time.process_time() - processor)
        self.wall_s.append(time.perf_counter() - wall)

    @property
    def medians(self) -> tuple[float, float]:
        return statistics.median(self.wall_s), statistics.median(self.processor_s)


def main() -> None:
    options = parse_options()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.model:
        run(find_checkpoint(options.model), options)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_clipseg(Path(folder), published_clipseg_config(), words=(*COLOURS, *THINGS))
        run(Path(folder), options)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a folder or a Hugging Face id on this disk")
    parser.add_argument(
        "--phrases", type=int, nargs="+", default=[1, 8, 32], help=f"1 to {len(PHRASES)}"
    )
    parser.add_argument(
        "--reference-phrases",
        type=int,
        default=8,
        help="the most that the reference is measured with",
    )
    parser.add_argument("--size", default="640x480", help="of the picture, width x height")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--threads", type=int, help="of torch; as many as there are cores if not given"
    )
    parser.add_argument("--json", type=Path, help="write the figures there too")
    return parser.parse_args()


def run(folder: Path, options: argparse.Namespace) -> None:
    width, height = (int(side) for side in options.size.split("x"))
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    reference = reference_pipeline(folder, picture)
    ours = our_pipeline(folder, picture)
    times: dict[tuple[str, int], Times] = {}
    tasks: dict[tuple[str, int], Callable[[], object]] = {}
    for count in options.phrases:
        tasks["ours", count] = ours(PHRASES[:count])
        if count <= options.reference_phrases:
            tasks["reference", count] = reference(PHRASES[:count])
    print(
        f"{options.size} picture, {torch.get_num_threads()} threads, {options.repeats} repeats; "
        f"load of this machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    for task in tasks.values():
        task()
    for _ in range(options.repeats):
        for key, task in tasks.items():
            times.setdefault(key, Times()).measure(task)
    report(times, options.phrases)
    if options.json:
        figures = {f"{who} {count}": asdict(t) for (who, count), t in times.items()}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


def reference_pipeline(
    folder: Path, picture: Picture
) -> Callable[[list[str]], Callable[[], object]]:
    processor = CLIPSegProcessor(
        ViTImageProcessorPil.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
    )
    model = CLIPSegForImageSegmentation.from_pretrained(folder, use_safetensors=True).eval()

    def prepare(phrases: list[str]) -> Callable[[], object]:
        @torch.inference_mode()
        def work() -> object:
            images = [picture] * len(phrases)
            inputs = processor(text=phrases, images=images, padding=True, return_tensors="pt")
            return model(**inputs).logits

        return work

    return prepare


def our_pipeline(folder: Path, picture: Picture) -> Callable[[list[str]], Callable[[], object]]:
    segmenter = load_segmenter(str(folder), LoadOptions(device="cpu", precision="fp32"))

    def prepare(phrases: list[str]) -> Callable[[], object]:
        vocabulary = Vocabulary().changed_to(TargetClass(phrase) for phrase in phrases)
        encoded = segmenter.encode(vocabulary)
        batch = Batch((picture,), vocabulary.thresholds(0.5))
        return lambda: segmenter.segment(batch, encoded)

    return prepare


def report(times: dict[tuple[str, int], Times], counts: list[int]) -> None:
    print("phrases   reference (processors)      ours (processors)   times faster (processors)")
    for count in counts:
        wall, processor = times["ours", count].medians
        line = f"{wall * 1e3:9.0f} ms {processor * 1e3:8.0f} ms"
        if ("reference", count) in times:
            slow_wall, slow_processor = times["reference", count].medians
            print(
                f"{count:7} {slow_wall * 1e3:9.0f} ms {slow_processor * 1e3:8.0f} ms {line}"
                f" {slow_wall / wall:14.1f} {slow_processor / processor:8.1f}"
            )
        else:
            print(f"{count:7} {'-':>12} {'-':>11} {line}")
    few, many = min(counts), max(counts)
    walls, processors = zip(*(times["ours", count].medians for count in (few, many)), strict=True)
    print(
        f"{many} phrases cost {walls[1] / walls[0]:.2f} times as much as {few} by the clock, "
        f"{processors[1] / processors[0]:.2f} times by the processors"
    )


if __name__ == "__main__":
    main()
