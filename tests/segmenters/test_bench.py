"""`zs-seg bench`: the measurements of a model and of its reference."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from families import write_small_clipseg

from zs_seg_ros.cli.main import main
from zs_seg_ros.cli.peak_memory import peak_memory_mb

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
    assert "4 classes cost" in table and "comes into force" in table
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


def test_too_many_classes_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "tabletop", "--classes", "1000"]) == 2
    assert "at most 64" in capsys.readouterr().err


def test_peak_memory_is_that_of_the_measured_call() -> None:
    def allocate() -> bytearray:
        return bytearray(b"x" * 50_000_000)

    assert 80 <= peak_memory_mb(allocate, "cpu") <= 150  # the bytes and their copy
    assert peak_memory_mb(lambda: None, "cpu") < 10
