# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The content of a replay's report, for all of its formats."""

from __future__ import annotations

from dataclasses import dataclass

from zs_seg_ros.replay.frame_difference import DifferingFrame, FrameDifference
from zs_seg_ros.replay.latency import Latencies
from zs_seg_ros.replay.results import RunSettings
from zs_seg_ros.replay.verdict import Verdict


@dataclass(frozen=True, eq=False)
class Report:
    """The content of a report.

    golden, now: the configurations behind the golden file and behind today's results. differing: the worst frames,
    with images. timeline: all frames with results, in the order of the recording. rate: None in lockstep.
    """

    golden_file: str
    golden: RunSettings
    now: RunSettings
    verdict: Verdict
    differing: tuple[DifferingFrame, ...]
    latencies: Latencies
    seconds: float
    rate: float | None = None
    timeline: tuple[FrameDifference, ...] = ()

    @property
    def mode(self) -> str:
        """The speed of the replay: lockstep, or a factor of real time."""
        return "in lockstep" if self.rate is None else f"at {self.rate:g} × real time"

    @property
    def changes(self) -> tuple[str, ...]:
        """The settings that differ from those of the golden file, one text each."""
        pairs = {"model": (self.golden.model, self.now.model)}
        for name in sorted({*self.golden.settings, *self.now.settings} - {"model"}):
            pairs[name] = (str(self.golden.settings.get(name)), str(self.now.settings.get(name)))
        pairs["recording"] = (self.golden.recording, self.now.recording)
        changed = [
            f"{name} was {then} and is {now}" for name, (then, now) in pairs.items() if then != now
        ]
        return tuple(changed) + self._other_computation()

    def _other_computation(self) -> tuple[str, ...]:
        """Return a sentence where the golden file was made with another engine or in another precision."""
        then, now = (
            f"{run.engine or 'an unknown engine'} in {run.precision or 'an unknown precision'}"
            for run in (self.golden, self.now)
        )
        known = self.golden.engine or self.golden.precision
        if not known or then == now:
            return ()
        return (
            f"the golden file was made with {then} and this replay computes with {now}, whose results differ a little",
        )
