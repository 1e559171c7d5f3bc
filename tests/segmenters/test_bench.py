# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`zs-seg bench`: the measurements of a model and of its reference."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from families import write_small_clipseg, write_small_owlv2_and_sam2
from inputs import blots, segment, words

from zs_seg_ros.cli.bench_measure import PROMPTS, threshold_of_ten_objects
from zs_seg_ros.cli.main import main
from zs_seg_ros.cli.peak_memory import peak_memory_mb
from zs_seg_ros.segmenters.engines.export import export_model
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter

SMALL = ("--size", "64x48", "--repeats", "2", "--classes")


@pytest.fixture(scope="module")
def clipseg(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_small_clipseg(tmp_path_factory.mktemp("clipseg"))


def test_it_reports_each_stage_and_the_ratio_to_the_reference(
    clipseg: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    assert main(["bench", clipseg, *SMALL, "4", "1", "--device", "cpu", "--json", str(file)]) == 0
    table = capsys.readouterr().out
    assert "comes into force" in table
    assert re.search(
        r"\n4 classes cost [\d.]+ times as much as 1, and [\d.]+ times the processor time\n", table
    )
    measured = json.loads(file.read_text())
    assert [row["classes"] for row in measured["rows"]] == [1, 4]
    for row in measured["rows"]:
        stages = row["stage_ms"]
        assert all(stages[stage] > 0 for stage in ("prepare", "encode", "decode", "finish"))
        assert sum(stages.values()) <= row["total_ms"] * 1.5 + 5
        assert row["times_faster"] == pytest.approx(row["reference_ms"] / row["total_ms"])


def test_the_reference_can_be_left_out(clipseg: str, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    assert main(["bench", clipseg, *SMALL, "2", "--no-reference", "--json", str(file)]) == 0
    [row] = json.loads(file.read_text())["rows"]
    assert row["reference_ms"] is None and row["times_faster"] is None


def test_a_model_without_reference_is_measured_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "tabletop", *SMALL, "1", "--device", "cpu"]) == 0
    shown = capsys.readouterr()
    assert "without a reference" in shown.err and "tabletop on cpu" in shown.out


def test_input_sizes_are_compared_in_one_table(
    clipseg: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    sizes = ["--input-size", "32,0,96", "--device", "cpu", "--json", str(file)]
    assert main(["bench", clipseg, *SMALL, "2", "3", *sizes]) == 0
    shown = capsys.readouterr()
    assert "reference" not in shown.out and "processor: " in shown.out
    rows = json.loads(file.read_text())["rows"]
    assert [(row["input_size"], row["classes"]) for row in rows] == [
        (size, count) for size in ("32", "own", "96") for count in (2, 3)
    ]
    assert {row["precision"] for row in rows} == {"fp32"}
    lines = shown.out.splitlines()[-6:]
    assert [line.split()[0] for line in lines] == ["32", "32", "own", "own", "96", "96"]
    assert lines[0].endswith("1.00x")


def test_precisions_are_compared_with_their_labels(clipseg: str, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    both = ["--precision", "fp32,bf16", "--device", "cpu", "--json", str(file)]
    assert main(["bench", clipseg, *SMALL, "4", *both]) == 0
    single, half = json.loads(file.read_text())["rows"]
    assert (single["precision"], single["same_labels"]) == ("fp32", None)
    assert half["precision"] == "bf16" and 0.9 < half["same_labels"] <= 1


def test_engines_are_compared_in_one_table(
    clipseg: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    list(export_model(clipseg, LoadOptions(export_folder=str(tmp_path / "onnx")), int8=True))
    file = tmp_path / "figures.json"
    options = ["--engine", "torch,onnxruntime", "--precision", "fp32,int8", "--device", "cpu"]
    command = ["bench", clipseg, *SMALL, "2", "--json", str(file)]
    assert main([*command, *options, "--export-folder", str(tmp_path / "onnx")]) == 0
    rows = json.loads(file.read_text())["rows"]
    assert [(row["engine"], row["precision"]) for row in rows] == [
        ("torch", "fp32"),
        ("onnxruntime", "fp32"),
        ("onnxruntime", "int8"),
    ]
    assert rows[1]["same_labels"] > 0.99 and 0.9 < rows[2]["same_labels"] <= 1
    assert all(row["processor_ms"] > 0 for row in rows)
    assert "onnxruntime" in capsys.readouterr().out


def test_one_input_size_is_measured_without_a_reference(
    clipseg: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    assert main(["bench", clipseg, *SMALL, "1", "--input-size", "80", "--json", str(file)]) == 0
    assert "without a reference" in capsys.readouterr().err
    [row] = json.loads(file.read_text())["rows"]
    assert row["input_size"] == "80" and row["reference_ms"] is None


def test_an_input_size_that_the_model_cannot_take_is_refused(
    clipseg: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", clipseg, "--input-size", "96,100"]) == 2
    assert "a multiple of 16 from 32 to 256" in capsys.readouterr().err


def test_the_two_models_of_a_pair_have_a_size_each(tmp_path: Path) -> None:
    file, pair = tmp_path / "figures.json", write_small_owlv2_and_sam2(tmp_path)
    sizes = ["--input-size", "48,48+96,0+128", "--device", "cpu", "--json", str(file)]
    assert main(["bench", pair, *SMALL, "2", *sizes]) == 0
    rows = json.loads(file.read_text())["rows"]
    assert [row["input_size"] for row in rows] == ["48", "48+96", "own+128"]


def test_random_weights_of_an_unknown_kind_are_refused_with_the_known_kinds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["bench", "--random", "yolo"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "'yolo'" in line and "clipseg" in line


def test_a_plot_without_matplotlib_is_refused_with_the_command_that_installs_it(
    clipseg: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["bench", clipseg, *SMALL, "1", "--plot", str(tmp_path / "plot.png")]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "pip install matplotlib" in line


def test_a_plot_is_written_as_png(clipseg: str, tmp_path: Path) -> None:
    plot = tmp_path / "plot.png"
    assert main(["bench", clipseg, *SMALL, "1", "2", "--plot", str(plot)]) == 0
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("wrong", [["--classes", "0"], ["--size", "640"], ["--repeats", "some"]])
def test_wrong_numbers_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "tabletop", *wrong])
    assert "is not a number above 0" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["some", "224,", "-8", "48+"])
def test_a_wrong_input_size_is_refused(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "tabletop", f"--input-size={wrong}"])
    assert "is not a whole number from 0" in capsys.readouterr().err


def test_too_many_classes_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "tabletop", "--classes", "1000"]) == 2
    assert "at most 64" in capsys.readouterr().err


def test_peak_memory_is_that_of_the_measured_call() -> None:
    def allocate() -> bytearray:
        return bytearray(b"x" * 50_000_000)

    assert 80 <= peak_memory_mb(allocate, "cpu") <= 150  # the bytes and their copy
    assert peak_memory_mb(lambda: None, "cpu") < 10


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_threshold_of_random_weights_leaves_objects_of_the_measured_classes(
    tmp_path: Path, count: int
) -> None:
    model = write_small_owlv2_and_sam2(tmp_path)
    segmenter = load_segmenter(model, LoadOptions("cpu", "fp32"))
    image = blots()
    threshold = threshold_of_ten_objects(segmenter, image, (1, count))
    vocabulary = words(*PROMPTS[:count])
    [result] = segment(segmenter, vocabulary, image, threshold=threshold)
    assert result.label.any()
