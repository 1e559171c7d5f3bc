# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Work that takes longer than a request, one at a time: its progress on all pages, its result, and its end by a button.

A job belongs to the studio and not to the page that began it: a page that is loaded again shows it further on.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from zs_seg_ros.errors import StudioError, ZeroShotSegmentationError
from zs_seg_ros.shown import described, traced

LOG = logging.getLogger("zs_seg_ros.studio")
_STOP_TIMEOUT_S = 2.5


class JobCancelledError(Exception):
    """The job was cancelled: it ends without a result."""


@dataclass(frozen=True)
class JobState:
    """What pages show of a job. state: running, done, failed or cancelled. result: by the kind of the job, once done.

    done, total: parts of the present step. text: what it does, or why it failed.
    """

    number: int
    kind: str
    state: str = "running"
    done: int = 0
    total: int = 0
    text: str = ""
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """The message to the pages."""
        return json.dumps({"is": "job", **vars(self)})


class Job:
    """The running work's side of a job, in its thread."""

    def __init__(self, report: Callable[[int, int, str], None]) -> None:
        self._report = report
        self._cancelled = threading.Event()
        self._end: Callable[[], None] | None = None
        self._lock = threading.Lock()

    def report(self, done: int, total: int, text: str = "") -> None:
        """Show progress: `done` of `total` parts. Raises JobCancelledError once the job is cancelled."""
        self.check()
        self._report(done, total, text)

    def check(self) -> None:
        """Raise JobCancelledError once the job is cancelled."""
        if self._cancelled.is_set():
            raise JobCancelledError

    def on_cancel(self, end: Callable[[], None]) -> None:
        """Call `end`, from another thread, when the job is cancelled; at once when it is already."""
        with self._lock:
            self._end = end
            is_cancelled = self._cancelled.is_set()
        if is_cancelled:
            end()

    def cancel(self) -> None:
        """Cancel it."""
        with self._lock:
            self._cancelled.set()
            end = self._end
        if end is not None:
            end()


Work = Callable[[Job], dict[str, Any]]
"""What a job does, in a thread: returns the result. Raises ZeroShotSegmentationError, or what `Job.report` raises."""


class Jobs:
    """Runs one job at a time. All methods run in the event loop."""

    def __init__(self, post: Callable[[str], None]) -> None:
        """post: sends a message to all pages; a newer one replaces it."""
        self.newest: JobState | None = None
        self._post = post
        self._count = 0
        self._job: Job | None = None
        self._thread: threading.Thread | None = None

    def start(self, kind: str, work: Work) -> int:
        """Begin a job in a thread, and return its number. Raises StudioError while another one runs."""
        if self.newest is not None and self.newest.state == "running":
            raise StudioError("another job runs: wait for it, or cancel it")
        self._count += 1
        number, loop = self._count, asyncio.get_running_loop()
        self._show(JobState(number, kind))

        def show(**fields: Any) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._update, number, fields)

        job = Job(lambda done, total, text: show(done=done, total=total, text=text))
        self._job = job
        self._thread = threading.Thread(
            target=lambda: show(**_outcome(job, work)), name="studio_job", daemon=True
        )
        self._thread.start()
        return number

    def cancel(self, number: int | None = None) -> None:
        """Cancel the job that runs, if it has this number or none is given; without one nothing happens."""
        if self._job is not None and number in (None, self._count):
            self._job.cancel()

    def stop(self) -> None:
        """Cancel the job, and wait a moment for its end."""
        self.cancel()
        if self._thread is not None:
            self._thread.join(_STOP_TIMEOUT_S)

    def _update(self, number: int, fields: dict[str, Any]) -> None:
        if self.newest is not None and self.newest.number == number:
            self._show(replace(self.newest, **fields))

    def _show(self, state: JobState) -> None:
        self.newest = state
        self._post(state.message)


def _outcome(job: Job, work: Work) -> dict[str, Any]:
    """Do the work, and return how it ended, as fields of its state."""
    try:
        result = work(job)
        job.check()
    except JobCancelledError:
        return {"state": "cancelled", "text": ""}
    except ZeroShotSegmentationError as error:
        return {"state": "failed", "text": str(error)}
    except Exception as error:
        LOG.error("%s\n%s", described(error), traced(error))
        return {"state": "failed", "text": f"the studio fails on this job: {described(error)}"}
    return {"state": "done", "text": "", "result": result}
