"""The choice of device and precision, and the errors when they are not available."""

from __future__ import annotations

import pytest
import torch

from zs_seg_ros import DeviceError, LoadOptions
from zs_seg_ros.segmenters.shared.device import choose_device, choose_precision

CPU = torch.device("cpu")


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


def test_auto_precision_is_single_on_a_cpu() -> None:
    assert choose_precision(LoadOptions(), CPU) == torch.float32


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
