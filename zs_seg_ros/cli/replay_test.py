"""The arguments of `replay_test`, and its exit code."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zs_seg_ros.cli.argument_types import count, positive, share, target_class, whole
from zs_seg_ros.errors import ReplayError, ZeroShotSegmentationError
from zs_seg_ros.replay.comparison import Tolerances

if TYPE_CHECKING:
    from zs_seg_ros.ros.replay_run import ReplayRequest

SAME, DIFFERS, COULD_NOT_RUN, INTERRUPTED = 0, 1, 2, 130
_DROPPED_IN_REAL_TIME, _SWITCHES_IN_REAL_TIME = 1.0, 0.1
"""There frames are dropped, and a thing whose second frame is dropped gets its identity later."""

_DESCRIPTION = """\
Play a recording through segmentation_node and compare what it answers with a golden file: a recording in, a verdict
out. Frame after frame is published and its results are awaited, so that the outcome does not depend on how fast this
machine is.

  replay_test BAG --golden FILE --update --model tabletop --classes "red duck" "white mug"    make the golden file
  replay_test BAG --golden FILE                                                               check against it

BAG is a folder that `ros2 bag record` made (MCAP or SQLite, compressed or not). Its cameras are the topics
/CAM/image_raw or /CAM/image_raw/compressed; depth is used where the recording has it.

What the command line does not say is as it was when the golden file was made: model, classes and settings. With
--params-file, that file says it instead.
"""
_END = """\
Exit code: 0 the results are the same, 1 they differ, 2 the replay could not run, 130 interrupted.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code. Wrong arguments raise SystemExit (argparse)."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell that starts us behind ignores SIGINT
        signal.signal(number, signal.default_int_handler)
    arguments = parse(argv)
    try:
        _check_arguments(arguments)
        return _update(arguments) if arguments.update else _check(arguments)
    except ZeroShotSegmentationError as error:
        return _could_not_run(arguments, str(error))
    except KeyboardInterrupt:
        print("\nreplay_test: interrupted", file=sys.stderr)
        return INTERRUPTED


def _could_not_run(arguments: argparse.Namespace, reason: str) -> int:
    print(f"replay_test: {reason}", file=sys.stderr)
    if arguments.junit is not None:
        from zs_seg_ros.replay.report_junit import write_junit_error

        try:
            write_junit_error(arguments.junit, reason)
        except ReplayError as error:
            print(f"replay_test: {error}", file=sys.stderr)
    return COULD_NOT_RUN


def _update(arguments: argparse.Namespace) -> int:
    request = _request(arguments)
    from zs_seg_ros.ros.replay_run import ReplayRun

    with ReplayRun(request, None) as run:
        count = run.update()
    size = request.golden.stat().st_size
    print(f"{request.golden}: {count} frames, {size / 1000:.0f} kB")
    _tell_log(arguments)
    return SAME


def _check(arguments: argparse.Namespace) -> int:
    from zs_seg_ros.replay.golden import Golden
    from zs_seg_ros.replay.report_html import write_html
    from zs_seg_ros.replay.report_junit import write_junit
    from zs_seg_ros.replay.report_text import text_report

    with Golden(arguments.golden) as golden:
        request = _request(arguments)
        from zs_seg_ros.ros.replay_run import ReplayRun

        with ReplayRun(request, golden) as run:
            report = run.check()
    print(text_report(report))
    if arguments.junit is not None:
        write_junit(arguments.junit, report)
    if arguments.html is not None:
        write_html(arguments.html, report)
        print(f"Images: {arguments.html}")
    _tell_log(arguments)
    return SAME if report.verdict.passed else DIFFERS


def _log(arguments: argparse.Namespace) -> Path:
    default = Path(tempfile.gettempdir(), f"replay_test_{os.getpid()}.log")
    return arguments.log or default


def _tell_log(arguments: argparse.Namespace) -> None:
    if arguments.node is None:
        print(f"The node's log: {_log(arguments)}")


def _check_arguments(arguments: argparse.Namespace) -> None:
    """What argparse does not see. Raises ReplayError."""
    if arguments.update and arguments.rate is not None:
        raise ReplayError("golden results are made in lockstep: leave --rate out with --update")
    if arguments.update and (arguments.junit or arguments.html):
        raise ReplayError("--update compares nothing: leave --junit and --html out")
    if arguments.node is not None:
        own = ("model", "device", "classes", "params_file", "param", "log")
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


def _request(arguments: argparse.Namespace) -> ReplayRequest:
    try:
        from zs_seg_ros.ros.replay_run import ReplayRequest
        from zs_seg_ros.ros.started_node import NodeRequest
    except ModuleNotFoundError as error:
        raise ReplayError(
            f"replay_test needs ROS 2 and the zs_seg_ros package built with it ({error}); source its setup file"
        ) from error
    own_node = NodeRequest(
        _log(arguments),
        arguments.model,
        arguments.device,
        tuple(arguments.classes),
        arguments.params_file,
        tuple(arguments.param),
    )
    name = arguments.node
    in_lockstep = arguments.rate is None
    default = Tolerances()
    dropped = default.dropped if in_lockstep else _DROPPED_IN_REAL_TIME
    switches = default.switches if in_lockstep else _SWITCHES_IN_REAL_TIME
    return ReplayRequest(
        arguments.bag,
        arguments.golden,
        own_node if name is None else f"/{name.lstrip('/')}",
        tuple(arguments.cameras),
        arguments.every,
        arguments.timeout,
        arguments.rate,
        Tolerances(
            iou=arguments.iou,
            match_iou=arguments.match_iou,
            missed=arguments.missed,
            new=arguments.new,
            switches=switches if arguments.switches is None else arguments.switches,
            position_m=arguments.position,
            dropped=dropped if arguments.dropped is None else arguments.dropped,
            exact=arguments.exact,
        ),
        arguments.images,
    )


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """What was given; None: to this process. Wrong arguments raise SystemExit (argparse), with the code 2."""
    return _parser().parse_args(argv)


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
        help="no lockstep: publish at R × the recorded speed, and tell latencies and dropped frames",
    )

    node = parser.add_argument_group("the node").add_argument
    node("--node", metavar="NAME", help="one that runs already, e.g. /zs_seg (default: start one)")
    node("--model", default="", help="a built-in name, a folder or a Hugging Face id")
    node("--device", default="", help="auto, cpu, cuda or cuda:N (default: auto)")
    node(
        "--classes",
        nargs="+",
        default=[],
        type=target_class,
        metavar="CLASS",
        help='names to look for, or "NAME=PHRASE|PHRASE"',
    )
    node("--params-file", type=Path, metavar="YAML", help="parameters of the node")
    node(
        "-p",
        "--param",
        action="append",
        default=[],
        type=_parameter,
        metavar="NAME:=VALUE",
        help="one parameter of the node; goes before all others",
    )
    node(
        "--log", type=Path, metavar="FILE", help="the node's log (default: in the temporary folder)"
    )

    limit = parser.add_argument_group("what still counts as the same").add_argument
    default = Tolerances()
    limit("--exact", action="store_true", help="only what is equal in every pixel and number")
    _share_option(limit, "--iou", default.iou, "least overlap of each class over all frames")
    _share_option(limit, "--match-iou", default.match_iou, "least overlap of an object found again")
    _share_option(limit, "--missed", default.missed, "golden objects that may be missed")
    _share_option(limit, "--new", default.new, "objects that may be new, of the golden ones")
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
        "--pictures",
        dest="images",
        type=whole,
        default=5,
        metavar="N",
        help="differing frames to draw there (default: 5)",
    )
    return parser


def _share_option(add: object, name: str, default: float, text: str) -> None:
    assert callable(add)
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
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME:=VALUE")
    return text


if __name__ == "__main__":
    sys.exit(main())
