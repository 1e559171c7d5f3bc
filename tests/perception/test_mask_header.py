# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The C++ header zs_seg_ros/mask.hpp, compiled and run on masks that zs_seg_ros.perception.masks encoded."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from zs_seg_ros.perception.masks import encode_runs

PROGRAM = Path(__file__).with_name("mask_header_test.cpp")
HEADERS = Path(__file__).parents[2] / "include"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
LARGEST = 2**32 - 1


@dataclass(frozen=True, eq=False)
class Case:
    """An ObjectMask and the image that it is painted into."""

    image_size: tuple[int, int]
    x_offset: int
    y_offset: int
    height: int
    width: int
    counts: list[int]
    vector_size: int | None = None  # None: as the image

    def as_bytes(self) -> bytes:
        height, width = self.image_size
        pixels = height * width if self.vector_size is None else self.vector_size
        box = (self.x_offset, self.y_offset, self.height, self.width)
        numbers = (height, width, pixels, *box, len(self.counts), *self.counts)
        return struct.pack(f"={len(numbers)}I", *numbers)


@dataclass(frozen=True)
class Answer:
    decoded: bytes | str  # str: the text of std::invalid_argument
    painted: bytes | str
    image: bytes | str


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("there is no C++ compiler: install g++ to test mask.hpp")
    folder = tmp_path_factory.mktemp("mask_header")
    (folder / "nothing.cpp").write_text("int main() {}\n")
    can_sanitize = compiles(compiler, [*SANITIZERS, folder / "nothing.cpp"], folder / "nothing")
    flags = ["-std=c++17", *WARNINGS, *(SANITIZERS if can_sanitize else []), f"-I{HEADERS}"]
    assert compiles(compiler, [*flags, PROGRAM], folder / "program", show_errors=True)
    return folder / "program"


def compiles(
    compiler: str, arguments: list[str | Path], program: Path, show_errors: bool = False
) -> bool:
    result = subprocess.run(
        [compiler, *arguments, "-o", program], capture_output=True, text=True, check=False
    )
    if show_errors:
        print(result.stderr)
    return result.returncode == 0


def answers_of(program: Path, cases: list[Case], bits: int = 8) -> list[Answer]:
    given = b"".join(case.as_bytes() for case in cases)
    result = subprocess.run([program, str(bits)], input=given, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()
    output = io.BytesIO(result.stdout)
    return [Answer(*(read_part(output) for _ in range(3))) for _ in cases]


def read_part(output: io.BytesIO) -> bytes | str:
    refused, size = struct.unpack("=2I", output.read(8))
    part = output.read(size)
    assert len(part) == size
    return part.decode() if refused else part


def case_of(mask: NDArray[np.bool_], left: int, top: int, image_size: tuple[int, int]) -> Case:
    return Case(image_size, left, top, *mask.shape, encode_runs(mask).tolist())


def painted_by_numpy(mask: NDArray[np.bool_], case: Case, bits: int) -> bytes:
    image = np.zeros(case.image_size, f"u{bits // 8}")
    left, top = case.x_offset, case.y_offset
    image[top : top + case.height, left : left + case.width][mask] = 200
    return image.tobytes()


EDGE_MASKS = {
    "one pixel, set": np.ones((1, 1), np.bool_),
    "one pixel, not set": np.zeros((1, 1), np.bool_),
    "nothing": np.zeros((5, 7), np.bool_),
    "full": np.ones((5, 7), np.bool_),
    "a hole": np.pad(np.zeros((3, 5), np.bool_), 1, constant_values=True),
    "empty rows": np.repeat(np.array([[False], [True], [False]]), 7, axis=1),
    "one column": np.arange(5).reshape(5, 1) % 2 == 0,
    "no pixels": np.zeros((0, 0), np.bool_),
    "no rows": np.zeros((0, 3), np.bool_),
    "no columns": np.zeros((3, 0), np.bool_),
}


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_masks_that_python_encoded_are_decoded_and_painted_exactly(
    program: Path, bits: int
) -> None:
    random = np.random.default_rng(bits)
    masks = list(EDGE_MASKS.values())
    for _ in range(200):
        masks.append(random.random(random.integers(1, 30, 2)) < random.random())
    cases = []
    for mask in masks:
        top, left, below, right = random.integers(0, 4, 4).tolist()
        height, width = mask.shape
        cases.append(case_of(mask, left, top, (top + height + below, left + width + right)))
    for mask, case, answer in zip(masks, cases, answers_of(program, cases, bits), strict=True):
        assert answer.decoded == mask.astype(np.uint8).tobytes()
        assert answer.painted == b""
        assert answer.image == painted_by_numpy(mask, case, bits)


def test_a_full_camera_frame_is_painted(program: Path) -> None:
    mask = np.random.default_rng(0).random((480, 640)) < 0.5
    case = case_of(mask, 0, 0, (480, 640))
    (answer,) = answers_of(program, [case])
    assert answer.image == painted_by_numpy(mask, case, 8)


GOOD = Case((6, 8), 3, 2, height=2, width=4, counts=[1, 2, 5])


def test_runs_of_length_0_are_read(program: Path) -> None:
    zeros = replace(GOOD, counts=[0, 0, 1, 0, 0, 1, 0, 1, 5, 0, 0])
    expected, answer = answers_of(program, [GOOD, zeros])
    assert answer == expected


DAMAGED_COUNTS = {
    "too few": [1, 2, 4],
    "too many": [1, 2, 6],
    "one run too many": [1, 2, 5, 1],
    "none": [],
    "right but for 32 bits": [LARGEST, 9],
    "right but for 32 bits, object": [0, LARGEST, 0, 9],
    "largest": [LARGEST] * 5,
    "largest object": [0, LARGEST],
}


@pytest.mark.parametrize("counts", DAMAGED_COUNTS.values(), ids=DAMAGED_COUNTS.keys())
def test_runs_that_do_not_fill_the_box_are_refused_and_the_image_stays(
    program: Path, counts: list[int]
) -> None:
    (answer,) = answers_of(program, [replace(GOOD, counts=counts)])
    assert isinstance(answer.decoded, str) and answer.decoded == answer.painted
    assert "run lengths" in answer.decoded and "8 " in answer.decoded
    assert answer.image == bytes(6 * 8)


@pytest.mark.parametrize(
    ("height", "width"), [(2**16, 2**16), (LARGEST, LARGEST), (LARGEST, 1), (1, LARGEST)]
)
@pytest.mark.parametrize("counts", [[], [0, 8], [1, LARGEST - 2]])
def test_absurd_boxes_that_the_runs_do_not_fill_take_no_memory(
    program: Path, height: int, width: int, counts: list[int]
) -> None:
    (answer,) = answers_of(program, [replace(GOOD, height=height, width=width, counts=counts)])
    assert isinstance(answer.decoded, str) and f"{height * width}" in answer.decoded
    assert isinstance(answer.painted, str)
    assert answer.image == bytes(6 * 8)


OUTSIDE = {
    "too far right": replace(GOOD, x_offset=5),
    "too far down": replace(GOOD, y_offset=5),
    "right but for 32 bits, x": replace(GOOD, x_offset=LARGEST),
    "right but for 32 bits, y": replace(GOOD, y_offset=LARGEST),
    "larger than the image": replace(GOOD, x_offset=0, width=9, counts=[0, 18]),
    "an image without pixels": replace(GOOD, image_size=(0, 0)),
}


@pytest.mark.parametrize("case", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_a_box_that_leaves_the_image_is_not_painted(program: Path, case: Case) -> None:
    (answer,) = answers_of(program, [case])
    assert isinstance(answer.decoded, bytes) and len(answer.decoded) == case.height * case.width
    assert isinstance(answer.painted, str) and "does not lie in the image" in answer.painted
    assert isinstance(answer.image, bytes) and not any(answer.image)


@pytest.mark.parametrize("vector_size", [0, 47, 49])
def test_a_vector_of_another_size_than_the_image_is_not_painted(
    program: Path, vector_size: int
) -> None:
    (answer,) = answers_of(program, [replace(GOOD, vector_size=vector_size)])
    assert isinstance(answer.painted, str) and f"{vector_size} pixels" in answer.painted
    assert answer.image == bytes(vector_size)


def test_an_empty_box_at_the_far_corner_lies_in_the_image(program: Path) -> None:
    (answer,) = answers_of(program, [Case((6, 8), 8, 6, height=0, width=0, counts=[0])])
    assert answer == Answer(decoded=b"", painted=b"", image=bytes(6 * 8))
