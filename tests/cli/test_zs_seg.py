# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The command `zs-seg`, with the model fake."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import zs_seg_ros
from zs_seg_ros.cli.interruption import raising_keyboard_interrupt
from zs_seg_ros.cli.main import main
from zs_seg_ros.errors import ImageError
from zs_seg_ros.images.image_files import read_image
from zs_seg_ros.perception.overlay import class_colour
from zs_seg_ros.segmenters.dense.segmenter import DenseSegmenter
from zs_seg_ros.segmenters.fake import PALETTE

RED, BLUE, GREY = PALETTE["red"], PALETTE["blue"], PALETTE["grey"]
TIMEOUT_S = 60.0


def two_objects() -> np.ndarray:
    """Draw (48, 64, 3) uint8: grey, with a red square of 16x16 at the left and a blue one of 8x8."""
    image = np.full((48, 64, 3), GREY, np.uint8)
    image[16:32, 8:24] = RED
    image[20:28, 40:48] = BLUE
    return image


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "two objects.png"
    Image.fromarray(two_objects()).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three images, and a file that is none."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("b.png", "a.png", "c.bmp"):
        Image.fromarray(two_objects()).save(folder / name)
    (folder / "notes.txt").write_text("not an image")
    return folder


def segment(*arguments: str | Path, classes: Sequence[str] = ("red mug", "blue duck")) -> int:
    return main(["segment", *map(str, arguments), "--classes", *classes, "--model", "fake"])


def table_as_json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_the_table_has_id_name_area_and_confidence(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment(image, classes=["red mug", "blue duck", "green star"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["id", "name", "area", "px", "area", "%", "confidence"]
    assert [row.split() for row in rows] == [
        ["1", "red", "mug", "256", "8.33", "1.00"],
        ["2", "blue", "duck", "64", "2.08", "1.00"],
        ["3", "green", "star", "0", "0.00", "-"],
    ]


def test_json_is_one_object_for_one_image(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert segment(image, "--json", classes=["red mug", "green star"]) == 0
    assert table_as_json(capsys) == {
        "picture": str(image),
        "width": 64,
        "height": 48,
        "model": "fake",
        "classes": [
            {"id": 1, "name": "red mug", "area": 256, "area_percent": 8.33, "confidence": 1.0},
            {"id": 2, "name": "green star", "area": 0, "area_percent": 0.0, "confidence": None},
        ],
    }


def test_the_overlay_is_the_image_with_outlined_objects(image: Path, tmp_path: Path) -> None:
    Image.fromarray(two_objects().repeat(5, axis=0).repeat(5, axis=1)).save(image)
    assert segment(image, "-o", tmp_path / "new" / "out.png") == 0
    overlay = np.asarray(Image.open(tmp_path / "new" / "out.png"))
    assert overlay.shape == (240, 320, 3)
    assert tuple(overlay[159, 80]) == class_colour(1)
    assert tuple(overlay[139, 220]) == class_colour(2)
    assert tuple(overlay[230, 160]) == GREY


def test_label_pixels_are_ids_in_8_bits(image: Path, tmp_path: Path) -> None:
    assert segment(image, "--label", tmp_path / "label.png") == 0
    label_image = Image.open(tmp_path / "label.png")
    expected = np.zeros((48, 64), np.uint8)
    expected[16:32, 8:24], expected[20:28, 40:48] = 1, 2
    assert label_image.mode == "L"
    assert (np.asarray(label_image) == expected).all()


def test_label_pixels_have_16_bits_where_an_id_needs_them(image: Path, tmp_path: Path) -> None:
    classes = [f"object {number}" for number in range(254)] + ["red mug"]
    assert segment(image, "--label", tmp_path / "label.png", classes=classes) == 0
    label = np.asarray(Image.open(tmp_path / "label.png"))
    assert label.dtype == np.uint16 and np.unique(label).tolist() == [0, 256]


def test_without_output_and_label_nothing_is_written(image: Path) -> None:
    assert segment(image) == 0
    assert list(image.parent.iterdir()) == [image]


def test_a_class_may_be_a_name_with_prompts(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment(image, "--json", classes=["vessel=red mug|blue cup"]) == 0
    [row] = table_as_json(capsys)["classes"]
    assert (row["name"], row["area"]) == ("vessel", 256 + 64)


def test_the_threshold_is_the_least_confidence(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dim = two_objects()
    dim[16:32, 8:24] = np.array(RED) - (60, 0, 0)  # a confidence of about 0.76
    Image.fromarray(dim).save(image)
    assert segment(image, "--json", "--threshold", "0.7") == 0
    assert table_as_json(capsys)["classes"][0]["area"] == 256
    assert segment(image, "--json", "--threshold", "0.8") == 0
    assert table_as_json(capsys)["classes"][0]["area"] == 0


def test_warnings_and_the_model_s_caution_go_to_stderr(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment(image, "--json", classes=["duck"]) == 0
    out, err = capsys.readouterr()
    json.loads(out)
    assert "warning: the model fake only matches colour words" in err
    assert "warning: 'duck' has no colour word" in err


def test_all_images_of_a_folder_are_segmented_in_the_order_of_their_names(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert segment(folder, "--json", "-o", out / "overlays", "--label", out / "labels") == 0
    captured = capsys.readouterr()
    listed = [Path(one["picture"]).name for one in json.loads(captured.out)]
    assert listed == ["a.png", "b.png", "c.bmp"]
    assert "image/s" not in captured.err, "no progress bar where stderr is no terminal"
    for kind in ("overlays", "labels"):
        assert sorted(p.name for p in (out / kind).iterdir()) == ["a.png", "b.png", "c.png"]


def test_several_images_have_a_table_each(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert segment(folder / "a.png", folder / "c.bmp") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0], lines[4]] == [str(folder / "a.png"), str(folder / "c.bmp")]
    assert len(lines) == 8


def test_a_folder_of_one_image_still_gives_a_list(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment(image.parent, "--json") == 0
    assert len(table_as_json(capsys)) == 1


def test_an_unreadable_image_does_not_prevent_the_others(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "b.png").write_bytes(b"no image at all")
    assert segment(folder, "--json") == 1
    out, err = capsys.readouterr()
    assert [Path(one["picture"]).name for one in json.loads(out)] == ["a.png", "c.bmp"]
    assert f"{folder / 'b.png'} cannot be read as an image" in err


def unreadable_files(folder: Path) -> dict[str, Path]:
    whole = folder / "whole.png"
    Image.fromarray(two_objects()).save(whole)
    contents = {
        "text": b"no image",
        "empty": b"",
        "half": whole.read_bytes()[: whole.stat().st_size // 2],
    }
    for name, content in contents.items():
        (folder / f"{name}.png").write_bytes(content)
    Image.fromarray(np.ones((4, 4), np.float32)).save(folder / "float.tiff")
    names = ("text.png", "empty.png", "half.png", "float.tiff", "missing.png")
    return {name: folder / name for name in names}


@pytest.mark.parametrize("name", ["text.png", "empty.png", "half.png", "float.tiff", "missing.png"])
def test_a_single_unreadable_image_is_reported_in_one_sentence_with_exit_code_2(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = unreadable_files(tmp_path)[name]
    assert segment(path, "--json", "-o", tmp_path / "out.png") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert str(path) in err.splitlines()[-1] and "Traceback" not in err
    assert not (tmp_path / "out.png").exists()


def test_when_no_image_of_several_can_be_read_the_exit_code_is_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment(tmp_path / "missing.png", tmp_path / "gone.png", "--json") == 2
    assert table_as_json(capsys) == []


def with_rotation_in_exif(image: np.ndarray, path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    Image.fromarray(np.rot90(image)).save(path, exif=exif)


def test_kinds_of_image_files_are_read_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rgb = Image.fromarray(two_objects())
    rgb.convert("RGBA").save(tmp_path / "rgba.png")
    rgb.quantize(8).save(tmp_path / "palette.png")
    rgb.quantize(8).save(tmp_path / "animation.gif")
    rgb.save(tmp_path / "lossless.webp", lossless=True)
    with_rotation_in_exif(two_objects(), tmp_path / "rotated.png")
    assert segment(tmp_path, "--json") == 0
    results = table_as_json(capsys)
    assert len(results) == 5
    for result in results:
        assert [row["area"] for row in result["classes"]] == [256, 64], result["picture"]
        assert (result["width"], result["height"]) == (64, 48), result["picture"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_images_of_8_and_16_bits_are_read_over_their_full_range(
    dtype: type, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grey = np.zeros((10, 10), dtype)
    grey[:5] = np.iinfo(dtype).max
    Image.fromarray(grey).save(tmp_path / "grey.png")
    overlay = tmp_path / "overlay.png"
    assert segment(tmp_path / "grey.png", "--json", "-o", overlay, classes=["white", "black"]) == 0
    assert [row["area"] for row in table_as_json(capsys)["classes"]] == [50, 50]
    assert np.asarray(Image.open(overlay)).dtype == np.uint8


REFUSED_ARGUMENTS = {
    "an output that is no PNG": (["-o", "out.jpg"], "out.jpg must end in .png"),
    "an output over the image": (["-o", "in.png"], "in.png is an image to read"),
    "one file for two outputs": (["-o", "x.png", "--label", "x.png"], "would be written twice"),
    "an output below a file": (["-o", "in.png/out.png"], "in.png/out.png cannot be written"),
    "a model that is not there": (["--model", "no/such"], "zs-seg fetch no/such"),
    "a name that is no model": (["--model", "tabeltop"], "there is no model 'tabeltop'"),
    "a class twice": (["--classes", "red", "red"], "the name 'red' occurs twice"),
    "a class without a name": (["--classes", "=red"], "name of class 1 is empty"),
    "a class without a prompt": (["--classes", "mug="], "a prompt of class 'mug' is empty"),
}


@pytest.mark.parametrize(
    ("arguments", "reason"), REFUSED_ARGUMENTS.values(), ids=REFUSED_ARGUMENTS.keys()
)
def test_wrong_arguments_are_refused_in_one_sentence(
    arguments: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(two_objects()).save("in.png")
    before = Path("in.png").read_bytes()
    assert main(["segment", "in.png", "--classes", "red", "--model", "fake", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("zs-seg: ") and reason in err
    assert Path("in.png").read_bytes() == before


def test_several_images_need_folders_for_outputs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment(folder, "-o", folder.parent / "out.png") == 2
    assert "name a folder for several images" in capsys.readouterr().err


def test_two_images_of_one_stem_would_overwrite_each_other_s_results(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(two_objects()).save(folder / "a.jpg")
    assert segment(folder, "-o", tmp_path / "out") == 2
    assert "a.png is an image to read, or would be written twice" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert segment(tmp_path) == 2
    assert f"the folder {tmp_path} holds no image" in capsys.readouterr().err


@pytest.mark.parametrize("threshold", ["1.5", "-0.1", "nan", "half"])
def test_a_threshold_outside_0_to_1_is_refused(
    threshold: str, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        segment(image, f"--threshold={threshold}")
    assert stopped.value.code == 2
    assert f"'{threshold}' is not a number from 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["tabletop", "fake"])
def test_a_built_in_model_need_not_be_fetched(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fetch", model]) == 2
    assert f"{model} is built in; there is nothing to fetch" in capsys.readouterr().err


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"zs-seg {zs_seg_ros.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["segment"], ["fetch"]])
def test_missing_arguments_end_with_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


# --- the installed command, as a process of its own ---


def command() -> list[str]:
    installed = shutil.which("zs-seg")
    return [installed] if installed else [sys.executable, "-m", "zs_seg_ros.cli.main"]


def environment() -> dict[str, str]:
    package_folder = str(Path(zs_seg_ros.__file__).parents[1])
    return os.environ | {"PYTHONPATH": f"{package_folder}:{os.environ.get('PYTHONPATH', '')}"}


def arguments_for(*images: Path) -> list[str]:
    return [*command(), "segment", *map(str, images), "--classes", "red mug", "--model", "fake"]


def test_a_terminal_shows_a_progress_bar_and_stdout_stays_clean(folder: Path) -> None:
    terminal, stderr = pty.openpty()
    rows_and_columns = struct.pack("HHHH", 24, 80, 0, 0)
    fcntl.ioctl(stderr, termios.TIOCSWINSZ, rows_and_columns)
    run = subprocess.run(
        [*arguments_for(folder), "--json"],
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=environment(),
        cwd=folder,
        timeout=TIMEOUT_S,
        check=False,
    )
    os.close(stderr)
    shown = b""
    with contextlib.suppress(OSError), os.fdopen(terminal, "rb", 0) as reader:
        while chunk := reader.read(4096):
            shown += chunk
    assert run.returncode == 0
    assert len(json.loads(run.stdout)) == 3
    assert b"3/3" in shown and b"image/s" in shown


def test_ctrl_c_ends_it_with_130_and_no_traceback(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "endless.png")  # reading blocks, as it has no writer
    process = subprocess.Popen(
        arguments_for(tmp_path / "endless.png"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=tmp_path,
        # A shell's background jobs ignore SIGINT, and so would this process.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    assert "warning: the model fake" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert err == "zs-seg: interrupted\n"


def test_a_closed_pipe_causes_no_traceback(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    run = subprocess.run(
        arguments_for(folder),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=folder,
        timeout=TIMEOUT_S,
        check=False,
    )
    os.close(writing)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr and "Exception ignored" not in run.stderr


def test_a_fifo_or_device_is_not_opened_as_an_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name, kind in (("fifo", "a FIFO"), ("zero", "a device")):
        with pytest.raises(ImageError, match=f"is {kind}"):
            read_image(tmp_path / name)


def test_an_image_file_that_claims_many_pixels_is_refused_before_it_is_decoded(
    tmp_path: Path,
) -> None:
    Image.new("1", (8000, 8000)).save(tmp_path / "large.png")
    with pytest.raises(ImageError, match="8000x8000 pixels, more than"):
        read_image(tmp_path / "large.png")
    Image.new("1", (4096, 3073)).save(tmp_path / "large.png")
    with pytest.raises(ImageError, match="4096x3073 pixels, more than the 12582912 that are read"):
        read_image(tmp_path / "large.png")


def test_the_limit_of_pixels_is_an_option(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["segment", str(image), "--classes", "red", "--model", "fake"]
    assert main([*arguments, "--max-image-pixels", str(64 * 48)]) == 0
    capsys.readouterr()
    assert main([*arguments, "--max-image-pixels", str(64 * 48 - 1)]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "64x48 pixels, more than the 3071 that are read" in line and "--max-image-pixels" in line


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB"), "fewer classes"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
            "fewer classes",
        ),
        (MemoryError(), "fewer classes"),
    ],
    ids=["gpu", "cpu", "python"],
)
@pytest.mark.parametrize("place", ["_segment", "encode"])
def test_memory_that_runs_out_is_one_sentence(
    image: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    words: str,
    place: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(DenseSegmenter, place, fail)
    assert main(["segment", str(image), "--classes", "red", "--model", "tabletop"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("zs-seg: ") and "out of memory with the model tabletop" in line
    assert words in line


def test_memory_that_runs_out_while_the_model_is_loaded_is_one_sentence(
    image: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(DenseSegmenter, "__init__", fail)
    assert main(["segment", str(image), "--classes", "red", "--model", "tabletop"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "tabletop" in line and "MemoryError" in line


def test_a_file_name_cannot_write_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(two_objects()).save(folder / "a\x1b[31m\n[ERROR] forged.png")
    (folder / "b\x1b[2J.png").write_text("no image")
    options = ["--model", "fake", "--classes", "red", "-o", str(tmp_path / "out")]
    assert main(["segment", str(folder), *options]) == 1
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    assert "a\\x1b[31m\\n[ERROR] forged.png" in captured.out
    assert "b\\x1b[2J.png cannot be read as an image" in captured.err
    # A written file has the name of the one that was read, in the named folder.
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a\x1b[31m\n[ERROR] forged.png"]


def test_an_exception_that_a_library_makes_of_an_interruption_ends_as_one() -> None:
    """Extension modules turn KeyboardInterrupt into exceptions of their own."""
    code = """
import os, signal, sys
from zs_seg_ros.cli import main, commands

def interrupted(arguments):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        raise RuntimeError("an extension module failed") from None

commands.segment = interrupted
sys.exit(main.main())
"""
    command = [sys.executable, "-c", code, "segment", "a.png", "--classes", "red"]
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment(), check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "")


def test_an_exception_without_an_interruption_stays_what_it_is() -> None:
    with (
        pytest.raises(RuntimeError, match="an extension"),
        raising_keyboard_interrupt("zs-seg"),
    ):
        raise RuntimeError("an extension module failed")


# --- the size at which the model segments images ---


def test_the_input_size_changes_what_the_model_segments(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    confidences = []
    for size in ("96", "480"):
        options = ["--model", "tabletop", "--threshold", "0", "--json", "--input-size", size]
        assert main(["segment", str(image), "--classes", "red cube", *options]) == 0
        result = json.loads(capsys.readouterr().out)
        assert (result["width"], result["height"]) == (64, 48)
        confidences.append(result["classes"][0]["confidence"])
    assert abs(confidences[0] - confidences[1]) > 0.001


def test_an_input_size_that_the_model_cannot_take_is_one_sentence(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--model", "tabletop", "--input-size", "250"]
    assert main(["segment", str(image), "--classes", "red cube", *options]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "tabletop cannot segment images at 250 pixels" in line and "a multiple of 16" in line


@pytest.mark.parametrize(
    "words",
    [
        ["label", "bag", "out", "--classes", "mug"],
        ["bench", "tabletop"],
        ["fetch", "a/b"],
        ["doctor"],
    ],
)
def test_an_unknown_option_is_refused_with_the_usage_of_its_command(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--everly", "8"])
    err = capsys.readouterr().err
    assert ended.value.code == 2 and err.startswith(f"usage: zs-seg {words[0]} [-h]")
    assert err.endswith(f"zs-seg {words[0]}: error: unrecognized arguments: --everly 8\n")
