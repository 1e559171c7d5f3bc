# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A request to the process that evaluates and tunes, and the work that waits for its answer."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any

from zs_seg_ros.errors import StudioError
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.studio.jobs import Job

_MODULE = "zs_seg_ros.studio.measure"
_END_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class MeasureRequest:
    """What to do: kind is evaluate or tune. annotations, images: paths of the labelled frames.

    vocabulary: the text of a vocabulary file. threshold: of classes without one.
    """

    kind: str
    annotations: str
    images: str
    vocabulary: str
    model: str
    options: LoadOptions
    threshold: float

    @classmethod
    def parsed(cls, line: str) -> MeasureRequest:
        """Return the request of a line of JSON."""
        fields = json.loads(line)
        options = fields.pop("options")
        options["providers"] = tuple(options["providers"])
        return cls(options=LoadOptions(**options), **fields)

    @property
    def line(self) -> str:
        """The request as a line of JSON."""
        return json.dumps(asdict(self)) + "\n"


def measured(request: MeasureRequest, job: Job) -> dict[str, Any]:
    """Answer a request in a process of its own, which ends with the job. Raises StudioError when it is refused."""
    with subprocess.Popen(
        [sys.executable, "-m", _MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        job.on_cancel(process.terminate)
        try:
            return _answer(process, request, job)
        finally:
            _end(process)


def _answer(process: subprocess.Popen[str], request: MeasureRequest, job: Job) -> dict[str, Any]:
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(request.line)
        process.stdin.flush()
    except BrokenPipeError:  # it has ended: its exit code says how
        pass
    for line in process.stdout:
        message: dict[str, Any] = json.loads(line)
        if "result" in message:
            return dict(message["result"])
        if "refused" in message:
            raise StudioError(message["refused"])
        job.report(message["done"], message["total"], message["text"])
    job.check()
    process.wait()
    raise StudioError(
        f"the process that should {request.kind} has ended with the code {process.returncode}: see the output of the "
        "studio, and try again"
    )


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_TIMEOUT_S)
    process.kill()
