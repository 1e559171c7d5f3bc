# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Export as ONNX, and the engine onnxruntime: equal to torch, and refused in one sentence where it cannot be."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from families import FAMILIES, Family
from inputs import blots, segment, words
from published_layout import change_json
from safetensors.torch import load_file, save_file

from zs_seg_ros.cli.image_files import write_png
from zs_seg_ros.cli.main import main
from zs_seg_ros.errors import DeviceError, FileError, ModelError, ZeroShotSegmentationError
from zs_seg_ros.segmenters import families
from zs_seg_ros.segmenters.base import EncodedVocabulary, Segmenter
from zs_seg_ros.segmenters.engines import runtime
from zs_seg_ros.segmenters.engines.export import Exported, export_model
from zs_seg_ros.segmenters.engines.exports import fingerprint, is_export
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.shared.processor import Processor
from zs_seg_ros.types import Batch, Segmentation
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary

BY_NAME = {family.name: family for family in FAMILIES}
EXPORTING = ("clipseg", "dense")
TORCH = LoadOptions(device="cpu", precision="fp32")
RUNTIME = LoadOptions(device="cpu", engine="onnxruntime")
RUNTIME_FP32 = LoadOptions(device="cpu", precision="fp32", engine="onnxruntime")
AUTO = LoadOptions(device="cpu", engine="auto")
ENGINES = "zs_seg_ros.segmenters.engines."


def export(model: str, **options: Any) -> list[Exported]:
    int8 = options.pop("int8", False)
    return list(export_model(model, LoadOptions(**options), int8))


@pytest.fixture(scope="module", params=EXPORTING)
def family(request: pytest.FixtureRequest) -> Family:
    return BY_NAME[request.param]


@pytest.fixture(scope="module")
def model(family: Family, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An exported model, which no test changes."""
    model = family.write(tmp_path_factory.mktemp(family.name))
    export(model)
    return model


@pytest.fixture
def clipseg(tmp_path: Path) -> Path:
    """A model that is not exported."""
    folder = tmp_path / "model"
    folder.mkdir()
    BY_NAME["clipseg"].write(folder)
    return folder


def refusal(kind: type[ZeroShotSegmentationError], model: object, options: LoadOptions) -> str:
    with pytest.raises(kind) as refused:
        load_segmenter(str(model), options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def change_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    name = sorted(weights)[0]
    weights[name] = weights[name] + 0.01
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


# --- equal to torch ---


@pytest.mark.parametrize("size", [(48, 64), (90, 40), (1, 200)], ids=str)
@pytest.mark.parametrize("count", [1, 2, 9, 20])
def test_both_engines_label_alike(
    family: Family, model: str, size: tuple[int, int], count: int
) -> None:
    vocabulary = words(*family.names(count))
    by_torch, by_runtime = load_segmenter(model, TORCH), load_segmenter(model, RUNTIME)
    [expected] = segment(by_torch, vocabulary, blots(*size), threshold=family.threshold)
    [result] = segment(by_runtime, vocabulary, blots(*size), threshold=family.threshold)
    assert (result.label == expected.label).mean() > 0.995
    same = result.label == expected.label
    difference = result.confidence[same].astype(int) - expected.confidence[same].astype(int)
    assert np.abs(difference).max(initial=0) <= 1


def test_features_and_example_images_are_alike(family: Family, model: str) -> None:
    mask = np.zeros((40, 40), np.bool_)
    mask[:20, :20] = True
    example = TargetClass(family.names(1)[0], exemplars=(Exemplar(blots(40, 40), mask),))
    vocabulary = Vocabulary().changed_to([example])
    results = []
    for options in (TORCH, RUNTIME):
        segmenter = load_segmenter(model, options)
        batch = Batch((blots(), blots(90, 40)), vocabulary.thresholds(0.3), features=True)
        results.append(segmenter.segment(batch, segmenter.encode(vocabulary)))
    for expected, result in zip(*results, strict=True):
        assert (result.label == expected.label).mean() > 0.99
        assert expected.features is not None and result.features is not None
        first, second = expected.features.values, result.features.values
        np.testing.assert_allclose(
            np.asarray(first, np.float32), np.asarray(second, np.float32), atol=2e-3
        )


def test_the_engine_and_its_provider_are_named(model: str) -> None:
    segmenter = load_segmenter(model, RUNTIME)
    assert segmenter.engine == "onnxruntime (CPUExecutionProvider)"
    assert segmenter.precision == "fp32"
    assert load_segmenter(model, TORCH).engine == "torch"


def test_the_network_of_torch_is_not_run(family: Family, model: str) -> None:
    """Otherwise both engines would agree because they are one."""
    vocabulary = words(*family.names(2))
    segmenter = load_segmenter(model, RUNTIME)
    encoded = segmenter.encode(vocabulary)
    ran: list[str] = []
    hook = torch.nn.modules.module.register_module_forward_hook(
        lambda layer, *_: ran.append(type(layer).__name__)
    )
    try:
        segmenter.segment(Batch((blots(),), vocabulary.thresholds(0.3)), encoded)
    finally:
        hook.remove()
    assert ran == []


def test_another_input_size_is_exported_and_loaded(clipseg: Path, tmp_path: Path) -> None:
    vocabulary = words(*BY_NAME["clipseg"].names(3))
    export(str(clipseg), inference_size=96, export_folder=str(tmp_path / "at 96"))
    results = []
    for engine in ("torch", "onnxruntime"):
        folder = str(tmp_path / "at 96")
        options = LoadOptions("cpu", "fp32", engine=engine, inference_size=96, export_folder=folder)
        results.append(segment(load_segmenter(str(clipseg), options), vocabulary, blots()))
    assert (results[0][0].label == results[1][0].label).mean() > 0.995
    options = LoadOptions("cpu", engine="onnxruntime", export_folder=str(tmp_path / "at 96"))
    reason = refusal(ModelError, clipseg, options)
    assert "1x3x96x96" in reason and "1x3x64x64" in reason and "--input-size" in reason


BY_RUNTIME = "onnxruntime (CPUExecutionProvider)"


@pytest.mark.parametrize(
    ("name", "parts", "engine"),
    [
        ("segformer", ["segformer"], BY_RUNTIME),
        ("tipsv2", ["tipsv2_image_encoder"], BY_RUNTIME),
        ("sam3", ["sam3_image_encoder"], BY_RUNTIME),
        ("sam3_lite_text", ["sam3_image_encoder"], BY_RUNTIME),
        ("sam3_video", ["sam3_image_encoder"], BY_RUNTIME),
        ("owlv2+sam2", ["owlv2_image_encoder", "sam2_image_encoder"], BY_RUNTIME),
        ("owlv2+edgetam", ["owlv2_image_encoder", "edgetam_image_encoder"], BY_RUNTIME),
        ("owlv2+sam_hq", ["owlv2_image_encoder", "sam_hq_image_encoder"], BY_RUNTIME),
        ("omdet-turbo+sam2", ["omdet_turbo_image_encoder", "sam2_image_encoder"], BY_RUNTIME),
        ("eomt", ["eomt"], BY_RUNTIME),
        ("grounding-dino+sam2", ["sam2_image_encoder"], f"torch + {BY_RUNTIME}"),
    ],
)
def test_image_encoders_of_other_families_label_alike(
    name: str, parts: list[str], engine: str, tmp_path: Path
) -> None:
    """Of a pair of which one model exports, auto takes that export and onnxruntime is refused."""
    family = BY_NAME[name]
    model = family.write(tmp_path)
    exported = export(model)
    assert [each.part for each in exported] == parts
    assert all(each.difference < 1e-5 for each in exported)
    by_torch, by_runtime = load_segmenter(model, TORCH), load_segmenter(model, AUTO)
    assert by_runtime.engine == engine
    if "torch" in engine:
        assert "is of a family that does not export" in refusal(ModelError, model, RUNTIME)
    vocabulary = words(*family.names(3))
    images = blots(), blots(90, 40), blots(1, 200)
    expected = segment(by_torch, vocabulary, *images, threshold=family.threshold)
    results = segment(by_runtime, vocabulary, *images, threshold=family.threshold)
    assert any(each.label.any() for each in expected)
    for first, second in zip(expected, results, strict=True):
        assert (first.label == second.label).mean() > 0.99


def test_the_image_encoder_of_tipsv2_has_the_positions_of_another_size(tmp_path: Path) -> None:
    family = BY_NAME["tipsv2"]
    model = family.write(tmp_path)
    options = LoadOptions("cpu", engine="onnxruntime", inference_size=84)
    [exported] = export(model, inference_size=84)
    assert exported.difference < 1e-5
    vocabulary = words(*family.names(3))
    at_84 = LoadOptions("cpu", "fp32", inference_size=84)
    [expected] = segment(load_segmenter(model, at_84), vocabulary, blots(), threshold=0.5)
    [result] = segment(load_segmenter(model, options), vocabulary, blots(), threshold=0.5)
    assert (expected.label == result.label).mean() > 0.99


# --- export ---


def test_each_file_says_what_it_is_and_how_far_it_is_from_torch(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", model, "-o", str(tmp_path / "new" / "folder")]) == 0
    lines = capsys.readouterr().out.splitlines()
    files = sorted((tmp_path / "new" / "folder").iterdir())
    assert len(lines) == len(files) == 2
    for file in files:
        [line] = [line for line in lines if line.startswith(f"{file}:")]
        assert " in fp32, " in line and "difference from torch is " in line
        assert is_export(file)
    exported = export(model, export_folder=str(tmp_path))
    assert all(0 <= each.difference < 1e-5 for each in exported)


def test_an_export_that_differs_from_torch_is_not_written(
    clipseg: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(session: Any, part: Any, model: str) -> Any:
        right = runtime_function(session, part, model)
        return lambda *tensors: tuple(output + 0.01 for output in right(*tensors))

    runtime_function = runtime.run_function
    monkeypatch.setattr(runtime, "run_function", wrong)
    with pytest.raises(ModelError, match=r"differs from torch by .* is not written"):
        export(str(clipseg))
    assert list((clipseg / "zs_seg_onnx").iterdir()) == []


def test_a_file_of_another_program_is_kept(clipseg: Path, tmp_path: Path) -> None:
    (tmp_path / "clipseg_image_encoder.onnx").write_bytes(b"\x08\x08\x12\x07pytorch")
    with pytest.raises(FileError, match="was not written by this program"):
        export(str(clipseg), export_folder=str(tmp_path))
    assert (tmp_path / "clipseg_image_encoder.onnx").read_bytes() == b"\x08\x08\x12\x07pytorch"


def test_an_own_file_is_replaced(clipseg: Path, tmp_path: Path) -> None:
    export(str(clipseg), export_folder=str(tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.onnx")}
    change_weights(clipseg)
    export(str(clipseg), export_folder=str(tmp_path))
    after = {path.name: path.read_bytes() for path in tmp_path.glob("*.onnx")}
    assert before.keys() == after.keys() and all(before[name] != after[name] for name in before)


def test_a_folder_that_cannot_be_made_is_one_sentence(clipseg: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"cannot be made: .*; name another with -o"):
        export(str(clipseg), export_folder=str(tmp_path / "file" / "onnx"))


class TorchAlone(Segmenter[None]):
    """A family that has no parts for other engines, as one of another package may be."""

    engine = "torch"

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        self.model, self.device = model, "cpu"

    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary[None]:
        return EncodedVocabulary(vocabulary, None)

    def segment(self, batch: Batch, encoded: EncodedVocabulary[None]) -> list[Segmentation]:
        return [Segmentation.empty(size) for size in batch.sizes]


def test_a_family_that_does_not_export_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(families.FAMILIES, "torch_alone", f"{__name__}:TorchAlone")
    (tmp_path / "config.json").write_text('{"model_type": "torch_alone"}')
    model = str(tmp_path)
    with pytest.raises(ModelError, match="does not export; use engine torch") as refused:
        export(model)
    assert "\n" not in str(refused.value)
    assert "does not export" in refusal(ModelError, model, RUNTIME)
    assert load_segmenter(model, AUTO).engine == "torch"


def test_an_export_that_would_need_images_of_many_sizes_is_refused(tmp_path: Path) -> None:
    model = BY_NAME["omdet-turbo+sam2"].write(tmp_path)
    edges = {"shortest_edge": 48, "longest_edge": 64}
    [path] = tmp_path.rglob("omdet-turbo/preprocessor_config.json")
    change_json(path, lambda settings: settings.update(size=edges))
    with pytest.raises(ModelError, match="keeps the shape of images, and an export has one size"):
        export(model)


def test_florence2_answers_alike_up_to_rounding(tmp_path: Path) -> None:
    """Of random weights two tokens may be as probable, so the boxes are not compared."""
    family = BY_NAME["florence2+sam2"]
    model = family.write(tmp_path)
    exported = export(model)
    assert [each.part for each in exported] == ["florence2_image_encoder", "sam2_image_encoder"]
    assert all(each.difference < 1e-5 for each in exported)
    loaded = load_segmenter(model, RUNTIME)
    assert loaded.engine == BY_RUNTIME
    for result in segment(loaded, words(*family.names(2)), blots(), blots(90, 40), threshold=0):
        assert set(np.unique(result.label)) <= {0, 1, 2}


def test_an_unknown_model_is_refused_as_by_other_commands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["export", "fake"]) == 2
    assert "there is no model 'fake'" in capsys.readouterr().err


# --- 8 bits ---


@pytest.mark.parametrize(("name", "parts"), [("sam3", 1), ("owlv2+sam2", 2)])
def test_attention_over_images_is_written_in_8_bits(name: str, parts: int, tmp_path: Path) -> None:
    model = BY_NAME[name].write(tmp_path)
    written = [each for each in export(model, int8=True) if each.precision == "int8"]
    assert len(written) == parts
    assert all(each.difference < 0.2 for each in written)
    loaded = load_segmenter(model, LoadOptions("cpu", "int8", engine="onnxruntime"))
    assert loaded.precision == "int8"


def test_int8_is_written_beside_fp32_and_taken_where_it_is_there(clipseg: Path) -> None:
    written = {each.path.name: each for each in export(str(clipseg), int8=True)}
    fp32 = written["clipseg_image_encoder.onnx"]
    int8 = written["clipseg_image_encoder.int8.onnx"]
    assert int8.precision == "int8" and fp32.difference < int8.difference < 0.1
    assert b"MatMulInteger" in int8.path.read_bytes()
    assert b"MatMulInteger" not in fp32.path.read_bytes()
    vocabulary, labels = words(*BY_NAME["clipseg"].names(4)), {}
    for precision in ("fp32", "int8", "auto"):
        options = LoadOptions("cpu", precision, engine="onnxruntime")
        segmenter = load_segmenter(str(clipseg), options)
        assert segmenter.precision == ("int8" if precision == "auto" else precision)
        [result] = segment(segmenter, vocabulary, blots(), threshold=0.3)
        labels[precision] = result.label
    assert (labels["auto"] == labels["int8"]).all()
    assert 0.9 < (labels["int8"] == labels["fp32"]).mean() < 1


def test_the_decoder_of_clipseg_is_written_in_8_bits_too(clipseg: Path) -> None:
    """Prompts are decoded on a core each, of the torch that loads it, and give what one core gives."""
    written = {each.path.name: each for each in export(str(clipseg), int8=True)}
    decoder = written["clipseg_decoder.int8.onnx"]
    assert 0 < decoder.difference < 0.1 and b"MatMulInteger" in decoder.path.read_bytes()
    vocabulary, labels = words(*BY_NAME["clipseg"].names(5)), []
    threads = torch.get_num_threads()
    for count in (1, 2):
        torch.set_num_threads(count)
        try:
            loaded = load_segmenter(str(clipseg), LoadOptions("cpu", "int8", engine="onnxruntime"))
            [result] = segment(loaded, vocabulary, blots(), threshold=0.3)
        finally:
            torch.set_num_threads(threads)
        labels.append(result.label)
    assert (labels[0] == labels[1]).all() and len(np.unique(labels[0])) > 2


WITH_VNNI = Processor("", frozenset({"avx512_vnni"}))
WITHOUT_VNNI = Processor("", frozenset({"avx2"}))


def test_weights_have_7_bits_without_vnni_and_all_8_with_it(
    clipseg: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest = {}
    for processor in (WITHOUT_VNNI, WITH_VNNI):
        monkeypatch.setattr(ENGINES + "export.this_processor", lambda p=processor: p)
        [encoder, decoder] = [
            each for each in export(str(clipseg), int8=True) if each.precision == "int8"
        ]
        for each in (encoder, decoder):
            tensors = onnx.load(each.path).graph.initializer
            weights = [
                onnx.numpy_helper.to_array(tensor)
                for tensor in tensors
                if tensor.data_type == onnx.TensorProto.INT8
            ]
            largest[processor, each.part] = max(
                np.abs(weight.astype(int)).max() for weight in weights
            )
    assert {value for (processor, _), value in largest.items() if processor is WITH_VNNI} == {127}
    assert all(
        0 < value <= 64 for (processor, _), value in largest.items() if processor is WITHOUT_VNNI
    )


def test_weights_of_8_bits_are_refused_by_a_processor_whose_sums_would_overflow(
    clipseg: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ENGINES + "export.this_processor", lambda: WITH_VNNI)
    export(str(clipseg), int8=True)
    monkeypatch.setattr(ENGINES + "choice.this_processor", lambda: WITHOUT_VNNI)
    options = LoadOptions("cpu", "int8", engine="onnxruntime")
    reason = refusal(ModelError, clipseg, options)
    assert "was exported on a processor with VNNI" in reason
    assert reason.endswith(f"run here: zs-seg export {clipseg} --int8")
    assert load_segmenter(str(clipseg), RUNTIME_FP32).precision == "fp32"
    monkeypatch.setattr(ENGINES + "export.this_processor", lambda: WITHOUT_VNNI)
    export(str(clipseg), int8=True)
    assert load_segmenter(str(clipseg), options).precision == "int8"


def test_int8_of_other_weights_is_refused(clipseg: Path) -> None:
    export(str(clipseg), int8=True)
    change_weights(clipseg)
    export(str(clipseg))
    reason = refusal(ModelError, clipseg, LoadOptions("cpu", "int8", engine="onnxruntime"))
    assert "clipseg_image_encoder.int8.onnx was exported from other weights" in reason


def test_a_model_of_convolutions_has_no_int8(tmp_path: Path) -> None:
    model = BY_NAME["dense"].write(tmp_path)
    with pytest.raises(ModelError, match="consists of convolutions"):
        export(model, int8=True)
    export(model)
    reason = refusal(ModelError, model, LoadOptions("cpu", "int8", engine="onnxruntime"))
    assert "has not been exported" in reason


def test_a_pair_with_a_model_of_convolutions_has_int8_for_the_other_one(tmp_path: Path) -> None:
    model = BY_NAME["owlv2+edgetam"].write(tmp_path)
    written = [(each.part, each.precision) for each in export(model, int8=True)]
    assert written == [
        ("owlv2_image_encoder", "fp32"),
        ("owlv2_image_encoder", "int8"),
        ("edgetam_image_encoder", "fp32"),
    ]
    for precision in ("int8", "auto"):
        loaded = load_segmenter(model, LoadOptions("cpu", precision, engine="onnxruntime"))
        assert loaded.precision == "int8 + fp32"
    assert load_segmenter(model, RUNTIME_FP32).precision == "fp32"


def test_the_half_of_a_pair_that_was_not_exported_is_named_without_int8_if_it_has_none(
    tmp_path: Path,
) -> None:
    model = BY_NAME["owlv2+edgetam"].write(tmp_path)
    owlv2, edgetam = model.split(" + ")
    export(owlv2, int8=True)
    reason = refusal(ModelError, model, LoadOptions("cpu", "int8", engine="onnxruntime"))
    assert f"{edgetam} has not been exported" in reason
    assert reason.endswith(f"run: zs-seg export {edgetam}")


def test_the_loss_of_int8_is_printed_for_given_images(
    clipseg: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(2):
        write_png(tmp_path / "images" / f"{number}.png", blots(seed=number))
    (tmp_path / "images" / "broken.png").write_bytes(b"no image")
    command = ["export", str(clipseg), "--images", str(tmp_path / "images")]
    assert main(command) == 2
    assert "give --int8 and --classes" in capsys.readouterr().err
    names = BY_NAME["clipseg"].names(3)
    assert main([*command, "--int8", "--threshold", "0.3", "--classes", *names]) == 0
    captured = capsys.readouterr()
    assert "broken.png" in captured.err
    [line] = [line for line in captured.out.splitlines() if line.startswith("int8 against fp32")]
    found = re.fullmatch(
        r"int8 against fp32 on 2 images: mean IoU (\S+), a loss of (\S+); (\S+) % of the pixels have the same label",
        line,
    )
    assert found is not None
    iou, loss, same = map(float, found.groups())
    expected_iou, expected_same = agreement(str(clipseg), words(*names))
    assert iou == pytest.approx(expected_iou, abs=1e-4) and iou + loss == pytest.approx(1)
    assert same == pytest.approx(100 * expected_same, abs=0.01)
    (tmp_path / "images" / "0.png").unlink()
    (tmp_path / "images" / "1.png").unlink()
    assert main([*command, "--int8", "--classes", *names]) == 2
    assert "no image in" in capsys.readouterr().err


def agreement(model: str, vocabulary: Vocabulary) -> tuple[float, float]:
    """Compute the mean IoU of the classes of fp32, and the share of equal labels, pixel by pixel."""
    labels = []
    for options in (TORCH, LoadOptions("cpu", "int8", engine="onnxruntime")):
        segmenter = load_segmenter(model, options)
        images = [segment(segmenter, vocabulary, blots(seed=i), threshold=0.3)[0] for i in range(2)]
        labels.append(np.stack([each.label for each in images]))
    expected, result = labels
    ious = [
        ((expected == i) & (result == i)).sum() / ((expected == i) | (result == i)).sum()
        for i in vocabulary.ids
        if (expected == i).any()
    ]
    return float(np.mean(ious)), float((expected == result).mean())


# --- loading ---


def test_without_an_export_the_command_that_writes_it_is_named(clipseg: Path) -> None:
    reason = refusal(ModelError, clipseg, RUNTIME)
    assert reason.endswith(f"run: zs-seg export {clipseg}")
    reason = refusal(ModelError, clipseg, LoadOptions("cpu", "int8", engine="onnxruntime"))
    assert reason.endswith(f"run: zs-seg export {clipseg} --int8")
    elsewhere = LoadOptions("cpu", engine="onnxruntime", export_folder=str(clipseg / "x"))
    assert refusal(ModelError, clipseg, elsewhere).endswith(f" -o {clipseg / 'x'}")


def test_auto_is_torch_until_the_model_is_exported(
    clipseg: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    assert load_segmenter(str(clipseg), AUTO).engine == "torch"
    export(str(clipseg))
    assert "onnxruntime" in load_segmenter(str(clipseg), AUTO).engine
    for other in ({"precision": "bf16"}, {"compile": True}):
        assert (
            load_segmenter(str(clipseg), LoadOptions("cpu", engine="auto", **other)).engine
            == "torch"
        )


def test_an_export_of_other_weights_is_refused(clipseg: Path) -> None:
    export(str(clipseg))
    change_weights(clipseg)
    for options in (RUNTIME, AUTO):
        reason = refusal(ModelError, clipseg, options)
        assert "was exported from other weights" in reason and "zs-seg export" in reason
    export(str(clipseg))
    assert "onnxruntime" in load_segmenter(str(clipseg), RUNTIME).engine


def test_the_fingerprint_is_of_weights_and_configuration(clipseg: Path) -> None:
    before = fingerprint("m", clipseg)
    assert len(before) == 64 and fingerprint("m", clipseg) == before
    (clipseg / "README.md").write_text("text")
    assert fingerprint("m", clipseg) == before
    config = json.loads((clipseg / "config.json").read_text())
    (clipseg / "config.json").write_text(json.dumps(config | {"other": 1}))
    assert fingerprint("m", clipseg) != before


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda _: b"", lambda _: b"zs_seg_ros"]
)
def test_a_damaged_export_is_one_sentence(clipseg: Path, damage: Any) -> None:
    export(str(clipseg))
    for path in sorted((clipseg / "zs_seg_onnx").iterdir()):
        before = path.read_bytes()
        path.write_bytes(damage(before))
        reason = refusal(ModelError, clipseg, RUNTIME)
        assert path.name in reason and "zs-seg export" in reason
        path.write_bytes(before)


def test_a_missing_package_is_one_sentence_with_the_remedy(
    clipseg: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(str(clipseg))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    reason = refusal(ModelError, clipseg, RUNTIME)
    assert reason.endswith("is not installed; run: python3 -m pip install onnxruntime")
    assert load_segmenter(str(clipseg), AUTO).engine == "torch"
    with pytest.raises(ModelError, match="pip install onnxruntime"):
        export(str(clipseg))
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert "onnxruntime" in load_segmenter(str(clipseg), RUNTIME).engine
    with pytest.raises(ModelError, match=r"pip install onnx$"):
        export(str(clipseg))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "tensorrt"}, "'tensorrt' is not one of torch, onnxruntime, auto"),
        ({"engine": "onnxruntime", "precision": "fp16"}, "'fp16' is not one of engine onnxruntime"),
        ({"engine": "torch", "precision": "int8"}, "zs-seg export --int8"),
        ({"engine": "onnxruntime", "providers": ("nowhere",)}, "no provider 'nowhere', only"),
        ({"engine": "onnxruntime", "providers": ("cuda",)}, "onnxruntime-gpu"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    model: str, options: dict[str, Any], words: str
) -> None:
    assert words in refusal(DeviceError, model, LoadOptions("cpu", **options))


def test_compile_is_an_option_of_torch(model: str) -> None:
    options = LoadOptions("cpu", engine="onnxruntime", compile=True)
    assert "compile is an option of torch" in refusal(ModelError, model, options)


def test_providers_have_short_names(model: str) -> None:
    for name in ("cpu", "CPU", "CPUExecutionProvider"):
        options = LoadOptions("cpu", engine="onnxruntime", providers=(name,))
        assert load_segmenter(model, options).engine == "onnxruntime (CPUExecutionProvider)"


def test_a_failure_of_the_session_is_a_model_error(clipseg: Path) -> None:
    export(str(clipseg))
    segmenter: Any = load_segmenter(str(clipseg), RUNTIME)
    with pytest.raises(ModelError, match="onnxruntime cannot compute clipseg_image_encoder of"):
        segmenter.network.encode_images(torch.zeros(1, 3, 32, 32))


def test_commands_take_the_engine(
    model: str, family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_png(tmp_path / "a.png", blots())
    name = family.names(1)[0]
    outputs = []
    for engine in ("torch", "onnxruntime", "auto"):
        command = ["segment", str(tmp_path / "a.png"), "--model", model, "--engine", engine]
        assert main([*command, "--classes", name]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] == outputs[2]
    assert main([*command[:-1], "onnxruntime", "--providers", "tpu", "--classes", name]) == 2
    assert "no provider 'tpu'" in capsys.readouterr().err
