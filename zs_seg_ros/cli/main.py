"""The arguments of `zs-seg`. A command's imports wait until it runs: --help answers at once."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from zs_seg_ros import (
    LoadOptions,
    Vocabulary,
    VocabularyError,
    ZeroShotSegmentationError,
    __version__,
)
from zs_seg_ros.cli.argument_types import count, share, size, target_class, whole

_FAILED, _INTERRUPTED = 2, 130

_SEGMENT_HELP = """\
Find things named in words in images, and print a table: id, name, area, mean confidence.

A class is a name, "red mug", or a name with the phrases that describe it, "mug=red mug|red cup".
Put the images before --classes. With several images, or a folder, --output and --label name
folders, and the files written there keep the images' stems.

--json prints one object for one image, and a list of such objects for several or a folder:
  {"picture": "a.png", "width": 320, "height": 240, "model": "tabletop", "classes":
   [{"id": 1, "name": "duck", "area": 812, "area_percent": 1.06, "confidence": 0.91}]}
area is in pixels; confidence, 0 to 1, is null where nothing was found. An image that cannot be
read is left out.

Exit code: 0 when all went well, 1 when some of several images could not be read, 2 when nothing
could be done.
"""
_LABEL_HELP = """\
Label recordings without a running node. OUT is a copy of the recording with these topics added, equal to those that
the node publishes for the same images; with several recordings it is a folder with one such copy each:

  /zs_seg/CAM/label  /zs_seg/CAM/confidence  /zs_seg/CAM/objects  /zs_seg/vocabulary

With --format coco it is a folder with images, label images as PNG, and annotations.json in COCO's format.

Put the recordings and OUT before --classes. What is finished lies in OUT.partial until all is: after an interruption of
any kind the same command goes on where it stopped. With Ray, recordings and OUT must lie where every worker finds
them under the same path.

Exit code: 0 when all is written, 2 when that was not possible, 130 when interrupted.
"""
_FETCH_HELP = (
    "Download a model from the Hugging Face Hub, once, and print its folder. "
    "Nothing else uses the network."
)


_BENCH_HELP = """\
Measure what a frame costs with a model, for several numbers of classes, next to transformers' own pipeline for that
model, in the same run: the two take turns, and medians are compared.

prepare: image to tensors. encode: done once an image. decode: done for its phrases or boxes. finish: to a label
image and masks. memory: at the peak, above what was in use before. words: the first time a vocabulary is seen.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code. Wrong arguments raise SystemExit (argparse)."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except ZeroShotSegmentationError as error:
        print(f"zs-seg: {error}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        print("zs-seg: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:  # the reader, `head` for example, has enough
        # Or Python complains when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED


_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zs-seg", description="Zero-shot segmentation: find things in images by their names."
    )
    parser.add_argument("--version", action="version", version=f"zs-seg {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    _add_segment(commands)
    _add_label(commands)
    _add_bench(commands)
    _add_fetch(commands)
    return parser


def _add_segment(commands: _Commands) -> None:
    segment = commands.add_parser(
        "segment",
        help="find things in images",
        description=_SEGMENT_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    segment.set_defaults(run=_segment)
    add = segment.add_argument
    add(
        "images",
        nargs="+",
        type=Path,
        metavar="IMAGE",
        help="an image, or a folder of images",
    )
    add("--classes", nargs="+", required=True, type=target_class, metavar="CLASS", help="see above")
    _add_model_options(add)
    add("-o", "--output", type=Path, metavar="PNG", help="write the overlay (default: none)")
    add(
        "--label",
        type=Path,
        metavar="PNG",
        help="write the ids as pixels: 0 = nothing, 1 = the first class (8 bits; 16 if needed)",
    )
    add("--json", action="store_true", help="print the table as JSON, and nothing else on stdout")


def _add_label(commands: _Commands) -> None:
    label = commands.add_parser(
        "label",
        help="label recordings",
        description=_LABEL_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    label.set_defaults(run=_label)
    add = label.add_argument
    add(
        "bags",
        nargs="+",
        type=Path,
        metavar="BAG",
        help="a recording: the folder that `ros2 bag record` made",
    )
    add("out", type=Path, metavar="OUT", help="what is written; it must not exist yet")
    words = label.add_mutually_exclusive_group(required=True)
    words.add_argument(
        "--classes", nargs="+", type=target_class, metavar="CLASS", help="as in `zs-seg segment`"
    )
    words.add_argument(
        "--vocabulary", metavar="FILE", help="a YAML file of classes, as the node's vocabulary_file"
    )
    add("--format", choices=("mcap", "sqlite3", "coco"), default="mcap", help="(default: mcap)")
    add(
        "--cameras",
        nargs="+",
        default=[],
        metavar="CAM",
        help="those with a topic CAM/image_raw or CAM/image_raw/compressed (default: all)",
    )
    add(
        "--depth",
        action="store_true",
        help="positions, too: from CAM/depth/image_raw, registered to the images, and CAM/camera_info",
    )
    _add_model_options(add)
    add("--min-area", type=whole, default=50, metavar="PIXELS", help="of an object (default: 50)")
    add("--max-objects", type=count, default=100, metavar="N", help="in an image (default: 100)")
    add("--no-track", action="store_true", help="give objects no identities")
    add("--batch", type=count, default=4, metavar="N", help="images at once (default: 4)")
    add(
        "--slice",
        type=count,
        default=300,
        metavar="N",
        help="frames, about: what an interruption costs at most, and a task of Ray (default: 300)",
    )
    add("--ray", action="store_true", help="work on a Ray cluster, started here for this run")
    add(
        "--ray-address",
        default="",
        metavar="ADDRESS",
        help="work on this Ray cluster: auto (the one on this machine) or HOST:PORT",
    )


def _add_bench(commands: _Commands) -> None:
    bench = commands.add_parser(
        "bench",
        help="measure a model",
        description=_BENCH_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bench.set_defaults(run=_bench)
    add = bench.add_argument
    add(
        "model", metavar="MODEL", help="a built-in name, a folder or a Hugging Face id on this disk"
    )
    add(
        "--random", action="store_true", help="MODEL is a kind: its published shape, random weights"
    )
    add("--classes", nargs="+", type=count, default=[1, 2, 4, 8, 16, 32], metavar="N")
    add("--size", type=size, default=(640, 480), help="of the image (default: 640x480)")
    add("--repeats", type=count, default=3, help="(default: 3)")
    add("--threshold", type=share, default=0.5, help="0 to 1 (default: 0.5)")
    add("--no-reference", action="store_true", help="measure this package alone")
    _add_loading_options(add)
    add("--compile", action="store_true", help="compile the model with torch.compile")
    add("--json", type=Path, metavar="FILE", help="write the figures there, too")
    add("--plot", type=Path, metavar="PNG", help="draw them (needs matplotlib)")


def _add_fetch(commands: _Commands) -> None:
    fetch = commands.add_parser("fetch", help="download a model", description=_FETCH_HELP)
    fetch.set_defaults(run=_fetch)
    fetch.add_argument("model", metavar="MODEL", help="for example CIDAS/clipseg-rd64-refined")
    fetch.add_argument("--revision", default="", help="branch, tag or commit (default: the newest)")


def _add_model_options(add: Callable[..., object]) -> None:
    add(
        "--model",
        default="tabletop",
        help="a built-in name, a folder or a Hugging Face id (default: tabletop, a demonstration)",
    )
    _add_loading_options(add)
    add(
        "--threshold",
        type=share,
        default=0.5,
        help="least confidence of a labelled pixel, 0 to 1 (default: 0.5)",
    )


def _add_loading_options(add: Callable[..., object]) -> None:
    add("--revision", default="", help="of a Hugging Face id (default: the newest on disk)")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    add("--precision", default="auto", help="auto, fp32, fp16 or bf16 (default: auto)")


def _segment(arguments: argparse.Namespace) -> int:
    from zs_seg_ros.cli.segment import SegmentRequest, segment

    return segment(
        SegmentRequest(
            images=tuple(arguments.images),
            classes=tuple(arguments.classes),
            model=arguments.model,
            options=LoadOptions(arguments.device, arguments.precision, arguments.revision),
            threshold=arguments.threshold,
            overlay=arguments.output,
            label=arguments.label,
            as_json=arguments.json,
        )
    )


def _label(arguments: argparse.Namespace) -> int:
    from zs_seg_ros.cli.label import label_recordings
    from zs_seg_ros.labelling.plan import LabelRequest
    from zs_seg_ros.labelling.ray_run import RayCluster
    from zs_seg_ros.perception.pipeline import Settings

    request = LabelRequest(
        bags=tuple(arguments.bags),
        out=Path(os.path.abspath(arguments.out)),  # so that it has a name
        vocabulary=_vocabulary(arguments),
        model=arguments.model,
        options=LoadOptions(arguments.device, arguments.precision, arguments.revision),
        settings=Settings(
            arguments.threshold,
            arguments.min_area,
            arguments.max_objects,
            track=not arguments.no_track,
        ),
        cameras=tuple(arguments.cameras),
        depth=arguments.depth,
        form=arguments.format,
        batch=arguments.batch,
        frames_per_slice=arguments.slice,
    )
    with_ray = arguments.ray or arguments.ray_address
    return label_recordings(request, RayCluster(arguments.ray_address) if with_ray else None)


def _vocabulary(arguments: argparse.Namespace) -> Vocabulary:
    if arguments.vocabulary is None:
        return Vocabulary().changed_to(arguments.classes)
    from zs_seg_ros.vocabulary.vocabulary_file import read_vocabulary_file

    try:
        return read_vocabulary_file(arguments.vocabulary)
    except FileNotFoundError as error:
        raise VocabularyError(f"there is no vocabulary file {arguments.vocabulary}") from error


def _bench(arguments: argparse.Namespace) -> int:
    from zs_seg_ros.cli.bench import BenchRequest, bench, bench_random

    request = BenchRequest(
        model=arguments.model,
        options=LoadOptions(
            arguments.device, arguments.precision, arguments.revision, arguments.compile
        ),
        counts=tuple(sorted(set(arguments.classes))),
        size=arguments.size,
        repeats=arguments.repeats,
        threshold=arguments.threshold,
        with_reference=not arguments.no_reference,
        json=arguments.json,
        plot=arguments.plot,
    )
    return bench_random(request) if arguments.random else bench(request)


def _fetch(arguments: argparse.Namespace) -> int:
    from zs_seg_ros.segmenters.shared.checkpoint import BUILT_IN_MODELS, fetch_checkpoint

    if arguments.model in (*BUILT_IN_MODELS, "fake"):
        print(f"zs-seg: {arguments.model} is built in; there is nothing to fetch", file=sys.stderr)
        return _FAILED
    print(fetch_checkpoint(arguments.model, arguments.revision))
    return 0


if __name__ == "__main__":
    sys.exit(main())
