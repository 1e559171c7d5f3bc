"""The command `zs-seg`: parse the command line, run the command, and return its exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from zs_seg_ros import ZeroShotSegmentationError
from zs_seg_ros.cli.commands import FAILED
from zs_seg_ros.cli.parser import zs_seg_parser

_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code. Wrong arguments raise SystemExit (argparse)."""
    arguments = zs_seg_parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except ZeroShotSegmentationError as error:
        print(f"zs-seg: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("zs-seg: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:  # the reader, `head` for example, has closed the pipe
        # Otherwise Python reports an error when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
