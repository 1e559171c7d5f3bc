# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""OpenVINO as a provider of ONNX Runtime: the files that are calibrated for it, and what it is told to compute in.

PyPI's onnxruntime lacks the provider. Without it ONNX Runtime's own computes the files, which the last tests say.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from families import FAMILIES
from inputs import blots, segment, words

from zs_seg_ros.cli.image_files import write_png
from zs_seg_ros.cli.main import main
from zs_seg_ros.errors import DeviceError, ModelError
from zs_seg_ros.segmenters.engines import openvino, runtime
from zs_seg_ros.segmenters.engines.export import Calibration, Exported, export_model
from zs_seg_ros.segmenters.load_options import PROVIDERS, LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.shared.processor import Processor

BY_NAME = {family.name: family for family in FAMILIES}
OPENVINO = PROVIDERS["openvino"]
IS_THERE = OPENVINO in onnxruntime.get_available_providers()
WITH_BF16 = Processor("", frozenset({"avx512bw", "avx512vl", "avx512dq", "avx512_bf16"}))
WITHOUT_BF16 = Processor("", frozenset({"avx2"}))
TORCH = LoadOptions("cpu", "fp32")


def by_openvino(precision: str) -> LoadOptions:
    providers = ("openvino", "cpu")
    return LoadOptions("cpu", precision, engine="onnxruntime", providers=providers)


def calibrate(
    name: str, folder: Path, threshold: float | None = None
) -> tuple[str, list[Exported]]:
    """Write a small model of a family, and export it with ranges of three images."""
    family = BY_NAME[name]
    model = family.write(folder)
    images = [blots(seed=number) for number in range(3)]
    used = family.threshold if threshold is None else threshold
    data = Calibration(images, words(*family.names(3)), used)
    return model, list(export_model(model, LoadOptions(), int8=True, calibration_data=data))


@pytest.fixture(scope="module")
def clipseg(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model with files in fp32, dynamic int8 and calibrated int8, which no test changes."""
    return calibrate("clipseg", tmp_path_factory.mktemp("clipseg"))[0]


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda kind: monkeypatch.setattr(openvino, "this_processor", lambda: kind)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The file and the precision of each session. The provider counts as installed."""
    found: list[tuple[str, str]] = []
    available = onnxruntime.get_available_providers()
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: [*{OPENVINO: 0} | dict.fromkeys(available)]
    )
    load = runtime.session_of

    def session_of(content: bytes, part: Any, providers: Any, precision: str) -> Any:
        assert providers == [OPENVINO, PROVIDERS["cpu"]]
        return load(content, part, providers[0 if IS_THERE else 1 :], precision)

    def open_session(path: Path, part: Any, providers: Any, precision: str, model: str) -> Any:
        found.append((path.name, precision))
        return session_of(path.read_bytes(), part, providers, precision)

    monkeypatch.setattr(runtime, "open_session", open_session)
    return found


# --- what it is told ---


@pytest.mark.parametrize(
    ("kind", "precision", "hint"),
    [
        (WITH_BF16, "fp32", "f32"),
        (WITH_BF16, "bf16", "bf16"),
        (WITH_BF16, "int8", "bf16"),
        (WITHOUT_BF16, "fp32", "f32"),
        (WITHOUT_BF16, "int8", "f32"),
    ],
)
def test_it_computes_in_the_requested_precision(
    processor: Any, kind: Processor, precision: str, hint: str
) -> None:
    processor(kind)
    options = openvino.provider_options(3, precision)
    assert options["num_of_threads"] == "3"
    assert json.loads(options["load_config"]) == {"CPU": {"INFERENCE_PRECISION_HINT": hint}}


def test_only_its_own_entry_has_options(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda *_, providers: given.extend(providers)
    )
    part = load_part()
    runtime.session_of(b"", part, [OPENVINO, PROVIDERS["cpu"]], "bf16")
    assert given == [
        (OPENVINO, openvino.provider_options(torch.get_num_threads(), "bf16")),
        (PROVIDERS["cpu"], {}),
    ]


def load_part() -> Any:
    return type("Part", (), {"on_callers_core": False})()


# --- which files ---


def test_each_precision_takes_the_files_that_are_fast_in_it(
    clipseg: str, opened: list[tuple[str, str]], processor: Any
) -> None:
    processor(WITH_BF16)
    encoder, decoder = "clipseg_image_encoder", "clipseg_decoder.onnx"
    for precision, file in (
        ("fp32", f"{encoder}.onnx"),
        ("bf16", f"{encoder}.onnx"),
        ("int8", f"{encoder}.int8_calibrated.onnx"),
    ):
        opened.clear()
        assert load_segmenter(clipseg, by_openvino(precision)).precision == precision
        assert opened == [(file, precision), (decoder, precision)]
    assert load_segmenter(clipseg, by_openvino("auto")).precision == "int8"


@pytest.mark.parametrize(
    ("precision", "count", "share"),
    [("fp32", 70, 0.995), ("int8", 4, 0.85)],  # 70: more than are decoded at a time
)
def test_labels_are_those_of_torch_up_to_the_precision(
    clipseg: str, opened: list[tuple[str, str]], precision: str, count: int, share: float
) -> None:
    vocabulary = words(*BY_NAME["clipseg"].names(count))
    [expected] = segment(load_segmenter(clipseg, TORCH), vocabulary, blots(), threshold=0.3)
    assert len(np.unique(expected.label)) > 3
    segmenter = load_segmenter(clipseg, by_openvino(precision))
    [result] = segment(segmenter, vocabulary, blots(), threshold=0.3)
    assert (result.label == expected.label).mean() > share
    assert opened


def test_without_calibrated_files_int8_names_the_command(
    tmp_path: Path, opened: list[tuple[str, str]]
) -> None:
    model = BY_NAME["clipseg"].write(tmp_path)
    list(export_model(model, LoadOptions(), int8=True))
    with pytest.raises(ModelError) as refused:
        load_segmenter(model, by_openvino("int8"))
    assert str(refused.value).endswith(
        f"zs-seg export {model} --int8 --calibrate --images FOLDER --classes NAME"
    )
    assert load_segmenter(model, by_openvino("auto")).precision == "fp32"
    assert opened


@pytest.mark.parametrize(
    ("kind", "providers"), [(WITHOUT_BF16, ("openvino", "cpu")), (WITH_BF16, ("cpu",))]
)
def test_bf16_needs_openvino_and_a_processor_that_multiplies_it(
    clipseg: str,
    opened: list[tuple[str, str]],
    processor: Any,
    kind: Processor,
    providers: tuple[str, ...],
) -> None:
    processor(kind)
    options = LoadOptions("cpu", "bf16", engine="onnxruntime", providers=providers)
    with pytest.raises(DeviceError, match="needs openvino as the first provider and a processor"):
        load_segmenter(clipseg, options)
    automatic = LoadOptions("cpu", "bf16", engine="auto", providers=providers)
    assert load_segmenter(clipseg, automatic).engine == "torch"
    assert opened == []


# --- calibration ---


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("segformer", ["segformer"]),
        ("tipsv2", ["tipsv2_image_encoder"]),
        ("eomt", ["eomt"]),
        ("sam3", ["sam3_image_encoder"]),
        ("owlv2+sam2", ["owlv2_image_encoder", "sam2_image_encoder"]),
        ("omdet-turbo+sam2", ["omdet_turbo_image_encoder", "sam2_image_encoder"]),
    ],
)
def test_image_encoders_of_matrix_products_are_calibrated(
    name: str, parts: list[str], tmp_path: Path
) -> None:
    written = [each for each in calibrate(name, tmp_path)[1] if "calibrated" in each.precision]
    assert [each.part for each in written] == parts
    for each in written:
        assert each.path.name == f"{each.part}.int8_calibrated.onnx"
        assert b"QuantizeLinear" in each.path.read_bytes()
        assert 0 < each.difference < 0.3


def test_the_command_calibrates_on_given_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = BY_NAME["clipseg"].write(tmp_path / "model")
    for number in range(2):
        write_png(tmp_path / "images" / f"{number}.png", blots(seed=number))
    command = ["export", model, "--int8", "--calibrate"]
    assert main(command) == 2
    assert "--calibrate needs images like those" in capsys.readouterr().err
    names = BY_NAME["clipseg"].names(3)
    command += ["--images", str(tmp_path / "images"), "--threshold", "0.3", "--classes", *names]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    [line] = [line for line in lines if "clipseg_image_encoder in int8_calibrated, " in line]
    assert Path(line.partition(":")[0]).is_file()
    assert any(line.startswith("int8 with openvino against fp32") for line in lines) == IS_THERE


@pytest.mark.parametrize(
    ("flag", "bits", "largest"), [("avx512_vnni", "8", 127), ("avx2", "7", 64)]
)
def test_weights_have_7_bits_without_vnni_and_all_8_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: str, bits: str, largest: int
) -> None:
    processor = Processor("", frozenset({flag}))
    monkeypatch.setattr("zs_seg_ros.segmenters.engines.export.this_processor", lambda: processor)
    [encoder] = [e for e in calibrate("clipseg", tmp_path)[1] if "calibrated" in e.precision]
    graph = onnx.load(encoder.path)
    assert {p.key: p.value for p in graph.metadata_props}["zs_seg_ros.bits"] == bits
    weights = [
        onnx.numpy_helper.to_array(tensor).astype(int)
        for tensor in graph.graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) > 1
    ]
    assert max(np.abs(weight).max() for weight in weights) == largest


def test_a_part_that_no_image_leads_to_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no image led to a call of sam2_image_encoder"):
        calibrate("owlv2+sam2", tmp_path, threshold=1.0)


def test_without_nncf_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(
        ModelError, match=r"needs the package nncf, which is not installed; run: .* nncf$"
    ):
        calibrate("clipseg", tmp_path)


def test_nncf_reports_nothing_about_its_use() -> None:
    """It would, to its makers, where openvino-telemetry is installed and its user has agreed elsewhere."""
    code = (
        "import os; from zs_seg_ros.segmenters.engines.calibration import calibration; calibration()\n"
        "from nncf.telemetry.wrapper import NNCFTelemetry, telemetry\n"
        "assert not isinstance(telemetry, NNCFTelemetry) and 'NNCF_CI' not in os.environ"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- the provider itself ---


@pytest.mark.skipif(not IS_THERE, reason="the installed onnxruntime has no provider openvino")
@pytest.mark.parametrize("name", ["clipseg", "segformer", "tipsv2", "owlv2+sam2"])
def test_the_provider_labels_as_torch_does(name: str, tmp_path: Path) -> None:
    model, _ = calibrate(name, tmp_path)
    family = BY_NAME[name]
    vocabulary, images = words(*family.names(3)), (blots(), blots(90, 40))
    expected = segment(
        load_segmenter(model, TORCH), vocabulary, *images, threshold=family.threshold
    )
    for precision, share in (("fp32", 0.99), ("int8", 0.7)):
        segmenter = load_segmenter(model, by_openvino(precision))
        assert OPENVINO in segmenter.engine
        results = segment(segmenter, vocabulary, *images, threshold=family.threshold)
        for first, second in zip(expected, results, strict=True):
            assert (first.label == second.label).mean() > share
