# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Reports of a replay as text, JUnit XML and HTML; and the command where there is no ROS."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zs_seg_ros
from zs_seg_ros.replay.comparison import Comparison
from zs_seg_ros.replay.frame_difference import DifferingFrame, FrameDifference, WorstFrames
from zs_seg_ros.replay.latency import Latencies, latency_text
from zs_seg_ros.replay.report import Report
from zs_seg_ros.replay.report_html import html_report
from zs_seg_ros.replay.report_images import (
    ADDED_RGB,
    MISSING_RGB,
    OTHER_RGB,
    comparison_panels,
    difference,
)
from zs_seg_ros.replay.report_junit import write_junit, write_junit_error
from zs_seg_ros.replay.report_text import text_report
from zs_seg_ros.replay.results import FrameResult, ObjectResult, RunSettings
from zs_seg_ros.replay.verdict import Tolerances
from zs_seg_ros.types import Box
from zs_seg_ros.vocabulary.vocabulary import TargetClass

HOSTILE = "<script>\"mug\" & 'cup'</script>"


def frame(size: int, number: int = 1, name: str = HOSTILE) -> FrameResult:
    """Return a result of 40x40 pixels with a square of `size` at the top left."""
    label = np.zeros((40, 40), np.uint16)
    label[:size, :size] = number
    square = ObjectResult(name, 0.5, Box(0, 0, size, size), np.ones((size, size), bool), 1)
    return FrameResult("camera", 0, 1_700_000_000_000_000_001, label, (square,))


def report(*, differs: bool, rate: float | None = None, hostile: str = HOSTILE) -> Report:
    names = (hostile, "duck")
    comparison = Comparison(names, names, Tolerances())
    difference = comparison.add(frame(20, name=hostile), frame(10 if differs else 20, name=hostile))
    settings = RunSettings("bag", "fake", tuple(TargetClass(name) for name in names), ())
    difference = replace(difference, index=3, stamp_ns=10**9 + 5)
    differing = (DifferingFrame(difference, b"jpeg"),) if differs else ()
    return Report(
        "golden",
        settings,
        RunSettings("bag", hostile if hostile != HOSTILE else "other", settings.classes, ()),
        comparison.verdict(),
        differing,
        Latencies((10.0, 12.0, 40.0), 5),
        1.5,
        rate,
        (difference,),
    )


class _Reader(HTMLParser):
    """Collects the tags of a page, and the values of src and href."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.ids: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids |= {value or "" for name, value in attributes if name == "id"}
        self.sources += [value or "" for name, value in attributes if name in ("src", "href")]


@pytest.mark.parametrize(
    ("golden", "now", "sentence"),
    [
        (("torch", "fp32"), ("torch", "fp32"), ""),
        (("", ""), ("torch", "fp32"), ""),
        (
            ("torch", "fp32"),
            ("onnxruntime (CPUExecutionProvider)", "int8"),
            "Note: the golden file was made with torch in fp32 and this replay computes with onnxruntime "
            "(CPUExecutionProvider) in int8, whose results differ a little.",
        ),
        (
            ("torch", "bf16"),
            ("", ""),
            "Note: the golden file was made with torch in bf16 and this replay computes with an unknown engine in an "
            "unknown precision, whose results differ a little.",
        ),
    ],
)
def test_another_engine_or_precision_than_that_of_the_golden_file_is_noted(
    golden: tuple[str, str], now: tuple[str, str], sentence: str
) -> None:
    whole = report(differs=False)
    engines = (dict(zip(("engine", "precision"), run, strict=True)) for run in (golden, now))
    then, today = (
        replace(run, **of_run)
        for run, of_run in zip((whole.golden, whole.now), engines, strict=True)
    )
    text = text_report(replace(whole, golden=then, now=today))
    assert ("computes with" in text) == bool(sentence)
    assert sentence in text


@pytest.mark.parametrize("differs", [False, True])
def test_the_page_is_self_contained_and_escapes_class_names(differs: bool) -> None:
    page = _Reader(html_report(report(differs=differs, rate=2.0)))
    assert "script" not in page.tags
    assert "svg" in page.tags
    assert page.tags.count("img") == differs
    images = [source for source in page.sources if not source.startswith("#")]
    assert all(source.startswith("data:image/jpeg;base64,") for source in images)
    anchors = {source[1:] for source in page.sources if source.startswith("#")}
    assert anchors <= page.ids


def test_the_page_starts_with_the_verdict() -> None:
    page = html_report(report(differs=True))
    assert page.index("Different results") < page.index("<table>") < page.index("<figure ")
    assert "camera, image 3, stamp 1.000000005" in page
    assert "numbers of tracks (#3) may differ" in page


def test_junit_has_a_case_for_each_class_and_each_check(tmp_path: Path) -> None:
    write_junit(tmp_path / "report.xml", report(differs=True))
    [suite] = ElementTree.parse(tmp_path / "report.xml").getroot()
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == [HOSTILE, "objects missed", "objects new"]
    assert suite.get("failures") == "3"
    assert suite.get("tests") == str(len(suite))
    assert {"duck", "identities", "frames answered"} <= {case.get("name") for case in suite}
    worst = "camera, image 0, stamp 1700000000.000000001"
    messages = {case.get("name"): case.find("failure") for case in suite}
    for name, limit in (
        (HOSTILE, f"at least {Tolerances().iou:g} is allowed"),
        ("objects new", "allowed: 1.0%"),
    ):
        failure = messages[name]
        assert failure is not None
        assert limit in failure.get("message", "")
        assert failure.get("message", "").endswith(f"; most in {worst}")


def test_the_text_report_has_a_line_per_class_and_a_summary() -> None:
    text = text_report(report(differs=True, rate=2.0)).splitlines()
    [line] = [line for line in text if line.startswith(HOSTILE)]
    assert line.removeprefix(HOSTILE).split() == ["0.2500", "0", "1", "1", "DIFFERS"]
    assert "Note: model was fake and is other." in text
    assert text[-1].startswith("DIFFERENT: 1 frames at 2 × real time")


@given(st.lists(st.floats(0.01, 1e5), max_size=50))
def test_every_latency_is_in_one_bar(values_ms: list[float]) -> None:
    latencies = Latencies(tuple(values_ms), len(values_ms) + 2)
    assert sum(count for _, _, count in latencies.bins()) == len(values_ms)
    assert latencies.dropped == 2
    assert latency_text(latencies)


def drawn_difference(golden: np.ndarray, now: np.ndarray, shrink: float = 1.0) -> np.ndarray:
    return difference(np.full((*golden.shape, 3), 200, np.uint8), golden, now, shrink)


def test_the_difference_colours_missing_new_and_confused_pixels() -> None:
    golden, now = np.zeros((2, 60, 100), np.uint16)
    golden[20:40, 10:60], now[20:40, 40:90] = 1, 1
    golden[45:58, 10:90], now[45:58, 10:90] = 1, 2
    drawn = drawn_difference(golden, now)
    assert tuple(drawn[30, 20]) == MISSING_RGB
    assert tuple(drawn[30, 80]) == ADDED_RGB
    assert tuple(drawn[50, 50]) == OTHER_RGB
    assert tuple(drawn[30, 50]) == tuple(drawn[5, 5]) == (100, 100, 100)


@given(st.integers(0, 59), st.integers(0, 79), st.sampled_from([1.0, 0.5, 0.3]))
def test_a_single_differing_pixel_is_wide_and_has_a_ring(
    row: int, column: int, shrink: float
) -> None:
    golden = np.zeros((60, 80), np.uint16)
    now = golden.copy()
    now[row, column] = 1
    drawn = drawn_difference(golden, now, shrink)
    coloured = (drawn == ADDED_RGB).all(axis=2)
    top, left = max(0, row - 1), max(0, column - 1)
    assert coloured[top : row + 2, left : column + 2].all()
    assert coloured.sum() <= (2 / shrink + 3) ** 2
    assert ((drawn == 255).all(axis=2) | (drawn > 180).all(axis=2)).sum() > 5


def test_equal_results_have_no_marks() -> None:
    same = np.ones((30, 40), np.uint16)
    assert (drawn_difference(same, same) == 100).all()


def differing(index: int, share: float, pixels: dict[str, int] | None = None) -> FrameDifference:
    return FrameDifference("camera", index, index, ("a reason",), share, pixels or {})


def indices(worst: WorstFrames, classes: tuple[str, ...] = ()) -> list[int]:
    return [frame.difference.index for frame in worst.chosen(classes)]


@given(st.lists(st.floats(0, 1), max_size=30), st.integers(0, 6))
def test_the_worst_frames_are_chosen_in_their_order(shares: list[float], most: int) -> None:
    worst = WorstFrames(most)
    for index, share in enumerate(shares):
        worst.offer(differing(index, share), lambda: b"image")
    expected = sorted(range(len(shares)), key=lambda index: (-shares[index], index))[:most]
    assert [shares[index] for index in indices(worst)] == [shares[index] for index in expected]


def test_the_worst_frame_of_the_worst_class_is_among_the_chosen() -> None:
    worst = WorstFrames(3)
    for index in range(10):
        pixels = {"duck": 500} | ({"mug": 3 + index % 5} if index > 3 else {})
        worst.offer(differing(index, 0.5 - 0.01 * index, pixels), lambda: b"image")
    assert indices(worst, ("mug",)) == [0, 1, 4]
    assert indices(worst, ("mug", "duck")) == [0, 1, 4]
    assert indices(worst) == [0, 1, 2]


def test_frames_within_the_tolerances_are_not_drawn() -> None:
    def fail() -> bytes:
        raise AssertionError("an image was drawn")

    worst = WorstFrames(5)
    worst.offer(replace(differing(0, 0.1), reasons=()), fail)
    WorstFrames(0).offer(differing(0, 0.1), fail)
    assert indices(worst) == []


@pytest.mark.parametrize("count", [1, 2, 600, 601, 5000])
def test_the_timeline_has_a_bar_for_each_frame_or_for_the_worst_of_some(count: int) -> None:
    frames = tuple(
        replace(differing(index, 0.001), reasons=("late",) if index == count - 1 else ())
        for index in range(count)
    )
    page = html_report(replace(report(differs=False), timeline=frames))
    bars = page.count("<rect")
    assert bars == -(-count // -(-count // 600))
    assert page.count('<rect class="bad"') == 1


@pytest.mark.parametrize(("side", "drawn_side"), [(40, 40), (1600, 640)])
def test_panels_are_beside_each_other_and_large_ones_are_downscaled(
    side: int, drawn_side: int
) -> None:
    label = np.zeros((side, side), np.uint16)
    result = FrameResult("camera", 0, 0, label)
    drawn = comparison_panels(np.zeros((side, side, 3), np.uint16), result, result, ("duck",))
    assert drawn.shape == (drawn_side, 4 * drawn_side + 3 * 4, 3)


def test_without_ros_the_command_ends_with_one_sentence(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['rclpy'] = sys.modules['ament_index_python'] = None\n"
        "from zs_seg_ros.ros.replay.command import main\n"
        "sys.exit(main(['bag', '--golden', 'file', '--update']))"
    )
    package_folder = str(Path(zs_seg_ros.__file__).parents[1])
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{package_folder}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    [line] = run.stderr.splitlines()
    assert line.startswith("replay_test: replay_test needs ROS 2")


TERMINAL = "\x1b]0;title\x07\x1b[31m\n[ERROR] forged\u202e\ud800\ufffe"


def raw_characters(text: str) -> set[str]:
    return set(text) & set("\x1b\x07\u202e\ud800")


@pytest.mark.parametrize("differs", [False, True])
def test_names_with_control_characters_are_escaped_in_every_report(
    tmp_path: Path, differs: bool
) -> None:
    about = report(differs=differs, hostile=TERMINAL)
    text, page = text_report(about), html_report(about)
    for shown in (text, page):
        assert not raw_characters(shown)
        assert "\\x1b]0;title\\x07" in shown and "\\n[ERROR] forged\\u202e\\ud800" in shown
        assert not any(line.startswith("[ERROR]") for line in shown.splitlines())
    page.encode()
    write_junit(tmp_path / "junit.xml", about)
    cases = ElementTree.parse(tmp_path / "junit.xml").getroot().iter("testcase")
    [name] = [n for case in cases if "forged" in (n := case.get("name", ""))]
    assert name.startswith("\\x1b]0;title") and not raw_characters(name)


def test_the_reason_of_a_replay_that_could_not_run_is_escaped(tmp_path: Path) -> None:
    write_junit_error(tmp_path / "junit.xml", TERMINAL + "x" * 5_000_000)
    [error] = ElementTree.parse(tmp_path / "junit.xml").getroot().iter("error")
    message = error.get("message", "")
    assert message.startswith("\\x1b]0;title\\x07") and len(message) == 4000
