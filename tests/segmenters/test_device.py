# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The choice of device and precision, and the errors when they are not available."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from families import write_small_clipseg, write_small_grounding_dino_and_sam2
from inputs import blots, segment, words

from zs_seg_ros import DeviceError, LoadOptions, load_segmenter
from zs_seg_ros.segmenters.shared.cpu_precision import CPU_PRECISIONS
from zs_seg_ros.segmenters.shared.device import choose_device, choose_precision
from zs_seg_ros.segmenters.shared.processor import Processor, parse_cpuinfo, this_processor

CPU = torch.device("cpu")
AVX512 = "avx2 avx512f avx512bw avx512vl avx512dq"


def use_processor(monkeypatch: pytest.MonkeyPatch, flags: str) -> None:
    """Let this machine have a processor with these flags."""
    processor = Processor("chip", frozenset(flags.split()))
    monkeypatch.setattr("zs_seg_ros.segmenters.shared.device.this_processor", lambda: processor)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)


@pytest.mark.usefixtures("no_gpu")
def test_auto_is_the_cpu_where_there_is_no_gpu() -> None:
    assert choose_device("auto") == choose_device("cpu") == CPU


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("requested", "index"), [("auto", 0), ("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)]
)
def test_an_available_gpu_is_chosen(requested: str, index: int) -> None:
    assert choose_device(requested) == torch.device("cuda", index)


@pytest.mark.usefixtures("two_gpus")
def test_the_cpu_is_chosen_on_request_even_with_gpus() -> None:
    assert choose_device("cpu") == CPU


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("requested", ["cuda", "cuda:0"])
def test_a_gpu_where_there_is_none_is_refused_in_one_sentence(requested: str) -> None:
    with pytest.raises(DeviceError, match=f"'{requested}' is not there: torch sees 0 GPUs.*cpu"):
        choose_device(requested)


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_beyond_the_last_is_refused() -> None:
    with pytest.raises(DeviceError, match="'cuda:2' is not there: torch sees 2 GPUs"):
        choose_device("cuda:2")


@pytest.mark.parametrize("requested", ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:99999999999"])
def test_an_invalid_device_is_refused(requested: str) -> None:
    with pytest.raises(DeviceError, match="is no device; use auto, cpu or cuda:N"):
        choose_device(requested)


@pytest.mark.parametrize("requested", ["meta", "mps", "xpu"])
def test_other_devices_of_torch_are_refused(requested: str) -> None:
    with pytest.raises(DeviceError, match="is not supported; use auto, cpu or cuda:N"):
        choose_device(requested)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param("avx2 fma", torch.float32, id="AVX2"),
        pytest.param("avx2 avx512f avx512bw avx512vl avx512dq", torch.float32, id="AVX-512"),
        pytest.param(f"{AVX512} avx512_bf16", torch.bfloat16, id="AVX512-BF16"),
        pytest.param(f"{AVX512} amx_tile amx_bf16 amx_int8", torch.bfloat16, id="AMX"),
        pytest.param(f"{AVX512} amx_tile amx_int8", torch.float32, id="AMX for integers"),
        pytest.param("avx2 avx512f avx512_bf16", torch.float32, id="not all that torch needs"),
        pytest.param("fp asimd bf16 i8mm", torch.float32, id="Arm"),
        pytest.param("", torch.float32, id="unknown"),
    ],
)
def test_auto_precision_on_a_cpu_is_bf16_where_the_processor_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, flags: str, expected: torch.dtype
) -> None:
    use_processor(monkeypatch, flags)
    assert choose_precision(LoadOptions(), CPU, "clipseg") == expected
    assert choose_precision(LoadOptions(precision="fp32"), CPU, "clipseg") == torch.float32


def test_auto_precision_on_a_cpu_stays_single_for_families_that_do_not_gain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_processor(monkeypatch, f"{AVX512} avx512_bf16 amx_bf16")
    for family, choice in CPU_PRECISIONS.items():
        expected = {"fp32": torch.float32, "bf16": torch.bfloat16}[choice.precision]
        assert choose_precision(LoadOptions(), CPU, family) == expected and choice.reason
    assert {choice.precision for choice in CPU_PRECISIONS.values()} == {"fp32", "bf16"}
    assert choose_precision(LoadOptions(), CPU, "of another package") == torch.float32


def test_auto_precision_is_single_where_torch_has_no_library_for_bf16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_processor(monkeypatch, f"{AVX512} avx512_bf16")
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)
    assert choose_precision(LoadOptions(), CPU, "clipseg") == torch.float32


def test_a_model_says_in_which_precision_it_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_processor(monkeypatch, f"{AVX512} avx512_bf16")
    (tmp_path / "clipseg").mkdir()
    (tmp_path / "pair").mkdir()
    model = write_small_clipseg(tmp_path / "clipseg")
    assert load_segmenter(model, LoadOptions("cpu")).precision == "bf16"
    assert load_segmenter(model, LoadOptions("cpu", "fp16")).precision == "fp16"
    pair = write_small_grounding_dino_and_sam2(tmp_path / "pair")
    assert load_segmenter(pair, LoadOptions("cpu")).precision == "fp32 + bf16"
    assert load_segmenter(pair, LoadOptions("cpu", "fp32")).precision == "fp32"
    assert load_segmenter("tabletop", LoadOptions("cpu")).precision == "fp32"
    [result] = segment(load_segmenter(model, LoadOptions("cpu")), words("red mug"), blots())
    assert result.label.shape == (48, 64)


@pytest.mark.parametrize(
    ("cpuinfo", "name", "multiplies", "description"),
    [
        (
            "processor\t: 0\nmodel name\t: Chip A\nflags\t\t: sse2 avx2 avx512f avx512bw avx512vl avx512dq "
            "avx512_bf16 amx_bf16 avx512_vnni\nbugs\t: none\n\n"
            "processor\t: 1\nmodel name\t: Chip B\nflags\t\t: sse2\n",
            "Chip A",
            True,
            "Chip A (AVX2, AVX-512, AVX512-BF16, AMX-BF16, AVX512-VNNI)",
        ),
        (
            "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd bf16\n",
            "",
            False,
            "unknown processor (NEON, BF16; no AVX512-BF16 or AMX)",
        ),
        ("", "", False, "unknown processor (no known instructions; no AVX512-BF16 or AMX)"),
    ],
    ids=["x86", "Arm", "empty"],
)
def test_the_processor_is_read_from_linux_s_list(
    cpuinfo: str, name: str, multiplies: bool, description: str
) -> None:
    processor = parse_cpuinfo(cpuinfo)
    assert (processor.name, processor.multiplies_bf16) == (name, multiplies)
    assert processor.description == description


def test_a_system_without_that_list_has_no_instructions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("zs_seg_ros.segmenters.shared.processor._CPUINFO", tmp_path / "none")
    this_processor.cache_clear()
    try:
        assert not this_processor().flags
    finally:
        this_processor.cache_clear()


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), torch.float16), ((8, 7), torch.bfloat16)]
)
def test_auto_precision_on_a_gpu_depends_on_its_compute_capability(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: torch.dtype
) -> None:
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
    assert choose_precision(LoadOptions(), torch.device("cuda", 0)) == expected


@pytest.mark.parametrize(
    ("requested", "expected"),
    [("fp32", torch.float32), ("fp16", torch.float16), ("bf16", torch.bfloat16)],
)
def test_a_requested_precision_is_chosen(requested: str, expected: torch.dtype) -> None:
    assert choose_precision(LoadOptions(precision=requested), CPU) == expected


def test_an_unknown_precision_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DeviceError, match="'int8' is not one of auto, fp32, fp16, bf16"):
        choose_precision(LoadOptions(precision="int8"), CPU)
