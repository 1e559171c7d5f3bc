# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`make gpu` on a machine without a GPU: every part runs with small models on the CPU, and writes the page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from zs_seg_ros.testing.accelerator import stand_in_accelerator

torch.set_num_threads(1)  # with more, models as small as these take many times as long
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so_in_one_sentence_and_fails(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--output", str(tmp_path / "gpu.md")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    [line] = done.stderr.splitlines()
    assert "sees no GPU" in line and "make gpu" in line
    assert not (tmp_path / "gpu.md").exists()


def test_every_part_runs_with_small_models_and_is_on_the_page(tmp_path: Path) -> None:
    output = tmp_path / "gpu.md"
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--small", "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    page = output.read_text(encoding="utf-8")
    assert page.count("not measured") == 1 and "failed" not in page  # the nodes
    for target in ("≥ 250", "≤ 1.25", "≤ 60", "≥ 2.5", "≤ 0"):
        assert target in page


def test_the_page_says_what_missed_its_target_and_what_failed() -> None:
    import gpu

    outcomes = {
        "clipseg": gpu.Outcome(3, {"images_per_s": 300.0, "times_with_32_classes": 1.3}),
        "sam3": gpu.Outcome(9, {}, "failed with exit code 1: out of memory"),
        "memory": gpu.Outcome(4, {"growth_mb": 0.0}),
        "cameras": gpu.Outcome(5, {"labels_per_s": 2.6}),
        "a frame with clipseg": gpu.Outcome(7, {"rows": [{"total_ms": 4.0}, {"total_ms": 5.5}]}),
    }
    page = gpu.page("a GPU", outcomes)
    rows = {line.split(" | ")[0]: line for line in page.splitlines()}
    assert rows["| CLIPSeg, 8 classes, 1280x720: images a second"].endswith(
        "| 300 | ≥ 250 | reached |"
    )
    assert rows["| CLIPSeg: 32 classes against one"].endswith("| 1.3 | ≤ 1.25 | **missed** |")
    assert rows["| SAM 3, 4 phrases, 1280x720: milliseconds"].endswith(
        "| – | ≤ 60 | not measured |"
    )
    assert "out of memory" in rows["| sam3"]
    assert "| a frame with clipseg | 4.0 | 5.5 |" in page


def test_a_part_that_hangs_or_comes_too_late_leaves_a_sentence(tmp_path: Path) -> None:
    import gpu

    sleeping = [sys.executable, "-c", "import time; time.sleep(60)"]
    assert "not ended after 1 s" in gpu.run("sam3", sleeping, tmp_path, 1).problem
    assert gpu.run("sam3", sleeping, tmp_path, 0).problem == "not run: the time was over"


def test_the_parts_run_the_code_for_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the stand-in in place of a GPU and small models in place of published ones."""
    import gpu_parts

    monkeypatch.setattr(gpu_parts, "write_published", lambda kind, folder, _: write(kind, folder))
    write = gpu_parts._write_small
    monkeypatch.setattr(gpu_parts, "_ROUNDS", 1)
    with stand_in_accelerator():
        figures = gpu_parts.clipseg(tmp_path, small=False)
    assert figures["images_per_s"] > 0


def test_the_ratio_of_four_cameras_reaches_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that `make gpu` runs; nodes and cameras are replaced."""
    import cameras
    import gpu

    _, _, *options = gpu.commands(tmp_path, small=False)["cameras"]
    figures = iter([cameras.Figures(90, 1000, 500), cameras.Figures(30, 4000, 1000)] * 2)
    monkeypatch.setattr(cameras, "measure", lambda nodes, arguments: next(figures))
    cameras.compare(cameras.parser().parse_args(options))
    written = json.loads((tmp_path / "cameras.json").read_text())
    [target] = (target for target in gpu.TARGETS if target.part == "cameras")
    assert written[target.figure] == 3


def test_every_command_is_one_that_its_program_takes(tmp_path: Path) -> None:
    import gpu

    from zs_seg_ros.cli.parser import zs_seg_parser

    families = {k: v for k, v in gpu.commands(tmp_path, small=False).items() if "frame" in k}
    assert len(families) == 6
    for command in families.values():
        assert zs_seg_parser().parse_args(command[3:]).random


def test_figures_are_written_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu_parts

    output = tmp_path / "memory.json"
    monkeypatch.setattr(sys, "argv", ["gpu_parts.py", "memory", "--small", "--output", str(output)])
    assert gpu_parts.main() == 0
    figures = json.loads(output.read_text())
    assert figures["late_mb"] == figures["early_mb"] or torch.cuda.is_available()
