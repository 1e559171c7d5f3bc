# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The command `replay_test`: run a replay, write its reports, and return the exit code."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zs_seg_ros.cli.interruption import INTERRUPTED, raising_keyboard_interrupt
from zs_seg_ros.cli.replay_arguments import check_arguments, parse
from zs_seg_ros.errors import ReplayError, ZeroShotSegmentationError
from zs_seg_ros.replay.verdict import Tolerances
from zs_seg_ros.shown import shown

if TYPE_CHECKING:
    from zs_seg_ros.ros.replay.run import ReplayRequest

SAME, DIFFERS, COULD_NOT_RUN = 0, 1, 2
_DROPPED_IN_REAL_TIME, _SWITCHES_IN_REAL_TIME = 1.0, 0.1
"""Defaults with --rate: frames may be dropped, and an object whose second frame is dropped is tracked later."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code. Wrong arguments raise SystemExit (argparse).

    argv: None for that of this process, whose handling of signals is then set, also where a shell started it in the
    background with SIGINT ignored.
    """
    arguments = parse(argv)
    try:
        if argv is not None:
            return _run(arguments)
        with raising_keyboard_interrupt("replay_test", signal.SIGINT, signal.SIGTERM):
            return _run(arguments)
    except KeyboardInterrupt:
        print("\nreplay_test: interrupted", file=sys.stderr)
        return INTERRUPTED


def _run(arguments: argparse.Namespace) -> int:
    try:
        check_arguments(arguments)
        return _update(arguments) if arguments.update else _check(arguments)
    except ZeroShotSegmentationError as error:
        return _report_error(arguments, str(error))


def _report_error(arguments: argparse.Namespace, reason: str) -> int:
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
    from zs_seg_ros.ros.replay.run import ReplayRun

    with ReplayRun(request, None) as run:
        count = run.update()
    size = request.golden.stat().st_size
    print(f"{shown(request.golden, 300)}: {count} frames, {size / 1000:.0f} kB")
    _print_log_path(arguments)
    return SAME


def _check(arguments: argparse.Namespace) -> int:
    from zs_seg_ros.replay.golden import Golden
    from zs_seg_ros.replay.report_html import write_html
    from zs_seg_ros.replay.report_junit import write_junit
    from zs_seg_ros.replay.report_text import text_report

    with Golden(arguments.golden) as golden:
        request = _request(arguments)
        from zs_seg_ros.ros.replay.run import ReplayRun

        with ReplayRun(request, golden) as run:
            report = run.check()
    print(text_report(report))
    if arguments.junit is not None:
        write_junit(arguments.junit, report)
    if arguments.html is not None:
        write_html(arguments.html, report)
        print(f"Images: {shown(arguments.html, 300)}")
    _print_log_path(arguments)
    return SAME if report.verdict.passed else DIFFERS


def _log(arguments: argparse.Namespace) -> Path:
    default = Path(tempfile.gettempdir(), f"replay_test_{os.getpid()}.log")
    return arguments.log or default


def _print_log_path(arguments: argparse.Namespace) -> None:
    if arguments.node is None:
        print(f"The node's log: {shown(_log(arguments), 300)}")


def _request(arguments: argparse.Namespace) -> ReplayRequest:
    try:
        from zs_seg_ros.ros.replay.run import ReplayRequest
        from zs_seg_ros.ros.replay.started_node import NodeRequest
    except ModuleNotFoundError as error:
        raise ReplayError(
            f"replay_test needs ROS 2 and the zs_seg_ros package built with it ({shown(error, 300)}); source its "
            "setup file"
        ) from error
    new_node = NodeRequest(
        log=_log(arguments),
        model=arguments.model,
        device=arguments.device,
        classes=tuple(arguments.classes),
        params_file=arguments.params_file,
        parameters=tuple(arguments.param),
    )
    running_node = f"/{arguments.node.lstrip('/')}" if arguments.node is not None else None
    return ReplayRequest(
        bag=arguments.bag,
        golden=arguments.golden,
        node=running_node or new_node,
        cameras=(*arguments.cameras, *arguments.camera),
        every=arguments.every,
        timeout_s=arguments.timeout,
        rate=arguments.rate,
        tolerances=_tolerances(arguments),
        images=arguments.images,
    )


def _tolerances(arguments: argparse.Namespace) -> Tolerances:
    in_lockstep = arguments.rate is None
    default = Tolerances()
    dropped = default.dropped if in_lockstep else _DROPPED_IN_REAL_TIME
    switches = default.switches if in_lockstep else _SWITCHES_IN_REAL_TIME
    return Tolerances(
        iou=arguments.iou,
        match_iou=arguments.match_iou,
        missed=arguments.missed,
        new=arguments.new,
        switches=switches if arguments.switches is None else arguments.switches,
        position_m=arguments.position,
        dropped=dropped if arguments.dropped is None else arguments.dropped,
        exact=arguments.exact,
    )


if __name__ == "__main__":
    sys.exit(main())
