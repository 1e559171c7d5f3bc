# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The command `zs-seg`: parse the command line, run the command, and return its exit code."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from zs_seg_ros.cli.commands import FAILED
from zs_seg_ros.cli.interruption import INTERRUPTED, is_ignored, raising_keyboard_interrupt
from zs_seg_ros.cli.parser import zs_seg_parser
from zs_seg_ros.errors import ZeroShotSegmentationError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code. Wrong arguments raise SystemExit (argparse).

    argv: None for that of this process, whose handling of ctrl-C is then set.
    """
    arguments = zs_seg_parser().parse_args(argv)
    if argv is not None or is_ignored(signal.SIGINT):
        return _run(arguments)
    try:
        with raising_keyboard_interrupt("zs-seg", signal.SIGINT):
            return _run(arguments)
    except KeyboardInterrupt:  # a second one
        return INTERRUPTED


def _run(arguments: argparse.Namespace) -> int:
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except ZeroShotSegmentationError as error:
        print(f"zs-seg: {error}", file=sys.stderr)
        return FAILED
    except MemoryError:
        print(
            "zs-seg: there is not enough memory; use smaller images, fewer classes or a smaller model",
            file=sys.stderr,
        )
        return FAILED
    except KeyboardInterrupt:
        print("zs-seg: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader, `head` for example, has closed the pipe
        # Otherwise Python reports an error when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
