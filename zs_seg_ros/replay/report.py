"""The content of a replay's report, for all of its formats."""

from __future__ import annotations

from dataclasses import dataclass

from zs_seg_ros.replay.latency import Latencies
from zs_seg_ros.replay.results import RunSettings
from zs_seg_ros.replay.verdict import Verdict


@dataclass(frozen=True, eq=False)
class DifferingFrame:
    """A frame that differs. jpeg: image, golden result, result now and difference, from left to right."""

    camera: str
    index: int
    stamp_ns: int
    reasons: tuple[str, ...]
    jpeg: bytes

    @property
    def title(self) -> str:
        """The camera, index and stamp of the frame in one line."""
        seconds, nanoseconds = divmod(self.stamp_ns, 10**9)
        return f"{self.camera}, image {self.index}, stamp {seconds}.{nanoseconds:09d}"


@dataclass(frozen=True, eq=False)
class Report:
    """golden, now: the configurations behind the golden file and behind today's results. rate: None in lockstep."""

    golden_file: str
    golden: RunSettings
    now: RunSettings
    verdict: Verdict
    differing: tuple[DifferingFrame, ...]
    latencies: Latencies
    seconds: float
    rate: float | None = None

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
        return tuple(
            f"{name} was {then} and is {now}" for name, (then, now) in pairs.items() if then != now
        )
