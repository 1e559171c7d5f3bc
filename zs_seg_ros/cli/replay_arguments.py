# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The options of `replay_test`, parsed and checked."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from zs_seg_ros.cli.argument_types import count, positive, share, target_class, whole
from zs_seg_ros.errors import ReplayError
from zs_seg_ros.replay.verdict import Tolerances
from zs_seg_ros.shown import quoted

_DESCRIPTION = """\
Play a recording through segmentation_node and compare its results with a golden file. In lockstep: the next frame is
published when the results of this one have been received, so that the outcome does not depend on the speed of this
machine.

  replay_test BAG --golden FILE --update --model tabletop --classes "red duck" "white mug"    make the golden file
  replay_test BAG --golden FILE                                                               check against it

BAG is a folder that `ros2 bag record` has written (MCAP or SQLite, compressed or not). Its cameras are the topics
/CAM/image_raw or /CAM/image_raw/compressed; depth is used where the recording has it.

Model, classes and settings that are not given on the command line are those of the golden file; with --params-file,
those of that file.
"""
_END = """\
Exit code: 0 the results are the same, 1 they differ, 2 the replay could not run, 130 interrupted.
"""


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse `argv`, or the arguments of this process for None. Wrong arguments raise SystemExit(2) (argparse)."""
    return _parser().parse_args(argv)


def check_arguments(arguments: argparse.Namespace) -> None:
    """Check what argparse cannot: combinations of options, and paths. Raises ReplayError."""
    if arguments.update and arguments.rate is not None:
        raise ReplayError("golden results need lockstep: leave --rate out with --update")
    if arguments.update and (arguments.junit or arguments.html):
        raise ReplayError("--update compares nothing: leave --junit and --html out")
    if arguments.node is not None:
        own = ("camera", "model", "device", "classes", "params_file", "param", "log")
        for name in own:
            if getattr(arguments, name):
                raise ReplayError(
                    f"--{name.replace('_', '-')} is for a node that replay_test starts; {arguments.node} runs already"
                )
    if arguments.params_file is not None and not arguments.params_file.is_file():
        raise ReplayError(f"there is no file {arguments.params_file}")
    for path in (arguments.golden, arguments.junit, arguments.html, arguments.log):
        if path is not None and not path.resolve().parent.is_dir():
            raise ReplayError(f"{path} cannot be written: there is no folder {path.parent}")
    if arguments.update:
        from zs_seg_ros.replay.golden import GoldenWriter

        with GoldenWriter(arguments.golden, ()):
            pass  # what is wrong with its place is reported before a node starts


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="replay_test",
        description=_DESCRIPTION,
        epilog=_END,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("bag", type=Path, metavar="BAG", help="folder of the recording")
    add("--golden", type=Path, required=True, metavar="FILE", help="the golden results")
    add("--update", action="store_true", help="write the golden file; compare nothing")
    add("--cameras", nargs="+", default=[], metavar="CAM", help="(default: all of the recording)")
    add(
        "--camera",
        action="append",
        default=[],
        metavar="NAME=TOPIC[,DEPTH,INFO]",
        help="a camera with other topics; may be repeated",
    )
    add(
        "--every",
        type=count,
        default=0,
        metavar="N",
        help="with --update: use every N-th image of each camera (default: 1)",
    )
    add(
        "--timeout",
        type=positive,
        default=30.0,
        metavar="S",
        help="seconds to wait for the results of one image (default: 30)",
    )
    add(
        "--rate",
        type=positive,
        metavar="R",
        help="no lockstep: publish at R × the recorded speed, and report latencies and dropped frames",
    )

    node = parser.add_argument_group("the node").add_argument
    node("--node", metavar="NAME", help="a running node, e.g. /zs_seg (default: start one)")
    node("--model", default="", help="a built-in name, a folder or a Hugging Face id")
    node("--device", default="", help="auto, cpu, cuda or cuda:N (default: auto)")
    node(
        "--classes",
        nargs="+",
        default=[],
        type=target_class,
        metavar="CLASS",
        help='a name, or a name with prompts: "NAME=PROMPT|PROMPT"',
    )
    node("--params-file", type=Path, metavar="YAML", help="parameters of the node")
    node(
        "-p",
        "--param",
        action="append",
        default=[],
        type=_parameter,
        metavar="NAME:=VALUE",
        help="one parameter of the node; overrides all others",
    )
    node(
        "--log", type=Path, metavar="FILE", help="the node's log (default: in the temporary folder)"
    )

    limit = parser.add_argument_group("tolerances").add_argument
    default = Tolerances()
    limit("--exact", action="store_true", help="require every pixel and number to be equal")
    _share_option(limit, "--iou", default.iou, "least IoU of each class over all frames")
    _share_option(limit, "--match-iou", default.match_iou, "least IoU of the masks of one object")
    _share_option(limit, "--missed", default.missed, "golden objects that may be missed")
    _share_option(
        limit, "--new", default.new, "objects that may be new, as a share of the golden ones"
    )
    limit(
        "--switches",
        type=share,
        metavar="SHARE",
        help="identities that may change, of all objects, 0 to 1 (default: 0.01 in lockstep, 0.1 with --rate)",
    )
    limit(
        "--position",
        type=positive,
        default=default.position_m,
        metavar="M",
        help=f"metres within which 95 %% of the objects must be (default: {default.position_m:g})",
    )
    limit(
        "--dropped",
        type=share,
        metavar="SHARE",
        help="frames that may have no results, 0 to 1 (default: 0 in lockstep, 1 with --rate)",
    )

    output = parser.add_argument_group("output").add_argument
    output("--junit", type=Path, metavar="FILE", help="write JUnit XML, for CI")
    output("--html", type=Path, metavar="FILE", help="write a page with images, for people")
    output(
        "--images",
        "--pictures",  # the earlier name
        dest="images",
        type=whole,
        default=5,
        metavar="N",
        help="differing frames to draw there, the worst ones (default: 5)",
    )
    return parser


def _share_option(add: Callable[..., object], name: str, default: float, text: str) -> None:
    add(
        name,
        type=share,
        default=default,
        metavar="SHARE",
        help=f"{text}, 0 to 1 (default: {default:g})",
    )


def _parameter(text: str) -> str:
    name, assigned, _ = text.partition(":=")
    if not (name and assigned):
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not of the form NAME:=VALUE")
    return text
