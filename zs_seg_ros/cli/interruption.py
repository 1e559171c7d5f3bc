# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Ctrl-C in the commands that are not nodes: KeyboardInterrupt, except while a module is imported."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""The exit code of an interrupted command, as a shell gives it to SIGINT."""
_STDERR = 2
_IMPORT_SYSTEM = "<frozen importlib._bootstrap>"


@contextmanager
def raising_keyboard_interrupt(program: str, *numbers: signal.Signals) -> Iterator[None]:
    """Make these signals raise KeyboardInterrupt within the block, and end the process silently after it.

    While a module is imported they end the process at once, with one sentence and the exit code `INTERRUPTED`:
    extension modules turn an exception there into another one or print it, and importing torch takes seconds.
    Any exception that leaves the block after a signal becomes KeyboardInterrupt, for the same reason: it may be what an
    extension module made of the interruption.
    """
    received: list[int] = []
    handler = _handler(program, received)
    for number in numbers:
        signal.signal(number, handler)
    try:
        yield
    except Exception as error:
        if received:
            raise KeyboardInterrupt from error
        raise
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def is_ignored(number: signal.Signals) -> bool:
    """Return whether the process was started with this signal ignored, as the background jobs of a shell are."""
    return signal.getsignal(number) is signal.SIG_IGN


def _handler(program: str, received: list[int]) -> Callable[[int, FrameType | None], None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if is_importing(frame):
            os.write(_STDERR, f"{program}: interrupted\n".encode())
            os._exit(INTERRUPTED)
        raise KeyboardInterrupt

    return interrupt


def is_importing(frame: FrameType | None) -> bool:
    """Return whether a signal that reached this frame interrupted the import of a module."""
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT_SYSTEM:
            return True
        frame = frame.f_back
    return False
