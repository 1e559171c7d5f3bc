# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from inputs import blots, segment, words
from torch import Tensor
from transformers import CLIPSegForImageSegmentation

from zs_seg_ros.kernels import Kernels, compiled_kernels
from zs_seg_ros.segmenters.clipseg import compiled_decoder
from zs_seg_ros.segmenters.clipseg.compiled_decoder import (
    CompiledFunctions,
    CompiledLayer,
    CompiledUpsampling,
    compiled_functions,
    compiled_layer,
    compiled_upsampling,
    functions_of,
    kind_of_processor,
)
from zs_seg_ros.segmenters.clipseg.head import Head
from zs_seg_ros.segmenters.clipseg.network import ClipSegNetwork
from zs_seg_ros.segmenters.clipseg.segmenter import ClipSegSegmenter
from zs_seg_ros.segmenters.engines.export import export_model
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.shared.processor import Processor, this_processor
from zs_seg_ros.testing.clipseg import small_clipseg_config, write_clipseg

AVX512 = {"avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl"}
KINDS = {
    "avx2": ({"avx2", "fma"}, torch.float32),
    "avx512": (AVX512, torch.float32),
    "avx512_bf16": (AVX512 | {"avx512_bf16"}, torch.bfloat16),
}


@pytest.fixture(params=KINDS)
def functions(request: pytest.FixtureRequest, compiled: Kernels) -> CompiledFunctions:
    flags, dtype = KINDS[request.param]
    if not this_processor().flags >= flags:
        pytest.skip(f"this processor has no {request.param}")
    found = functions_of(compiled.library, request.param, dtype)
    assert found is not None
    return found


def model(**changes: object) -> CLIPSegForImageSegmentation:
    """Return a model with the published shape of the decoder, and with biases and norms that are not 0 and 1."""
    shape = {"reduce_dim": 64, "decoder_num_attention_heads": 4, "decoder_intermediate_size": 192}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        built = CLIPSegForImageSegmentation(small_clipseg_config(**{**shape, **changes})).eval()
        with torch.no_grad():
            for parameter in built.decoder.parameters():
                scale = 0.3 if parameter.ndim == 1 else parameter[0].numel() ** -0.5
                parameter.copy_(scale * torch.randn(parameter.shape) + float(parameter.ndim == 1))
    return built


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def tolerance(functions: CompiledFunctions, expected: Tensor) -> float:
    """Return the error that rounding makes in a few products after each other: 2^-9 of a value in bf16."""
    share = 2e-5 if functions.dtype == torch.float32 else 0.03
    return share * float(expected.abs().max())


@torch.inference_mode()
@pytest.mark.parametrize("tokens", [1, 2, 7, 8, 9, 16, 17, 47, 48, 49, 97, 485])
def test_a_layer_is_that_of_transformers(functions: CompiledFunctions, tokens: int) -> None:
    layer = model().decoder.layers[0]
    x = random(2, tokens, 64)
    expected = layer(x, None)
    result = CompiledLayer(functions, layer.to(functions.dtype))(x)
    assert result.dtype == torch.float32
    assert (result - expected).abs().max() <= tolerance(functions, expected)


@torch.inference_mode()
def test_attention_that_is_nearly_all_on_one_token_is_that_of_transformers(
    functions: CompiledFunctions,
) -> None:
    layer = model().decoder.layers[0]
    layer.self_attn.q_proj.weight.mul_(40.0)
    # Rounded before, since products of large values would show the rounding of their inputs.
    x = random(1, 60, 64).to(functions.dtype).float()
    if functions.dtype == torch.bfloat16:
        layer.to(functions.dtype)
    expected = copy.deepcopy(layer).float()(x, None)
    difference = (CompiledLayer(functions, layer)(x) - expected).abs()
    assert difference.median() <= tolerance(functions, expected)
    assert difference.mean() <= 0.1 * expected.abs().mean()


@torch.inference_mode()
def test_what_is_no_number_stays_none_and_touches_no_other_prompt(
    functions: CompiledFunctions,
) -> None:
    x = random(2, 20, 64)
    x[0, 7] = torch.nan
    result = CompiledLayer(functions, model().decoder.layers[0].to(functions.dtype))(x)
    assert result[0].isnan().all()
    assert result[1].isfinite().all()


@torch.inference_mode()
@pytest.mark.parametrize("side", [1, 2, 3, 7, 14, 22, 31])
def test_the_upsampling_is_that_of_torch(functions: CompiledFunctions, side: int) -> None:
    upsampling = model().decoder.transposed_convolution
    head = Head(upsampling)
    tokens = random(2, side * side, 64)
    expected = upsampling(tokens.view(2, side, side, 64).permute(0, 3, 1, 2))[:, 0]
    compiled = CompiledUpsampling(functions, head._convolution, head.blocks)
    result = compiled(tokens)
    assert result.shape == (2, 16 * side, 16 * side)
    assert (result - expected).abs().max() <= tolerance(functions, expected)


@torch.inference_mode()
@pytest.mark.parametrize("first", [0, 1], ids=lambda layer: f"conditional layer {layer}")
@pytest.mark.parametrize("refined", [True, False], ids=["refined", "plain upsampling by torch"])
@pytest.mark.parametrize("prompts", [1, 2, 3, 5, 9, 17])
def test_all_logits_are_those_of_torch(
    functions: CompiledFunctions,
    prompts: int,
    refined: bool,
    first: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = model(use_complex_transposed_convolution=refined, conditional_layer=first)
    image, features = random(3, 1 + 14 * 14, 64), random(prompts, 24)
    monkeypatch.setattr(compiled_decoder, "compiled_functions", lambda *_: None)
    expected = ClipSegNetwork(whole).decode(image, features)
    monkeypatch.setattr(compiled_decoder, "compiled_functions", lambda *_: functions)
    dtype = functions.dtype
    result = ClipSegNetwork(whole.to(dtype)).decode(image.to(dtype), features.to(dtype))
    assert result.shape == expected.shape == (prompts, 224, 224)
    assert (result - expected).abs().max() <= 2 * tolerance(functions, expected)


@torch.inference_mode()
def test_threads_do_not_disturb_each_other(functions: CompiledFunctions) -> None:
    layer = CompiledLayer(functions, model().decoder.layers[0].to(functions.dtype))
    inputs = [random(3, tokens, 64) for tokens in range(80, 96)]
    expected = [layer(x) for x in inputs]
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(torch.inference_mode()(layer), inputs))
    assert all(torch.equal(*pair) for pair in zip(results, expected, strict=True))


def test_without_memory_there_is_an_error(functions: CompiledFunctions) -> None:
    none_left = replace(functions, layer=lambda *_: -1, upsampling=lambda *_: -1)
    decoder = model().decoder.to(functions.dtype)
    head = Head(decoder.transposed_convolution)
    with pytest.raises(MemoryError, match="no memory for a layer of 5 tokens"):
        CompiledLayer(none_left, decoder.layers[0])(random(1, 5, 64))
    with pytest.raises(MemoryError, match="no memory for a grid of 2x2 tokens"):
        CompiledUpsampling(none_left, head._convolution, head.blocks)(random(1, 4, 64))


@torch.inference_mode()
def test_in_place_of_an_engine_it_has_the_precision_that_was_asked_for(
    functions: CompiledFunctions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled_decoder, "compiled_functions", lambda *_: None)
    network = ClipSegNetwork(model())
    image, features = random(3, 1 + 14 * 14, 64), random(3, 24)
    expected = network.decode(image, features)
    keep = network.parts(224)[1].keep
    assert keep is not None
    assert not keep("fp32")  # without functions
    asked = []

    def found(device: torch.device, dtype: torch.dtype) -> CompiledFunctions:
        asked.append(dtype)
        return functions

    monkeypatch.setattr(compiled_decoder, "compiled_functions", found)
    assert all(keep(precision) for precision in ("fp32", "bf16", "int8"))
    assert list(dict.fromkeys(asked)) == [torch.float32, torch.bfloat16]
    result = network.decode(image, features)
    assert (result - expected).abs().max() <= 2 * tolerance(functions, expected)
    assert not torch.equal(result, expected)


@pytest.mark.parametrize("fits", [True, False], ids=["of the published shape", "of another one"])
def test_an_engine_for_cpus_leaves_the_decoder_to_it(tmp_path: Path, fits: bool) -> None:
    """A checkpoint whose decoder was exported, too."""
    shape = {"reduce_dim": 64, "decoder_num_attention_heads": 4, "decoder_intermediate_size": 64}
    write_clipseg(tmp_path, small_clipseg_config(**shape if fits else {}), 64, ("red", "mug"))
    list(export_model(str(tmp_path), LoadOptions(), False))
    vocabulary = words("red mug", "mug", "red")
    options = LoadOptions(device="cpu", engine="onnxruntime")
    segmenter = load_segmenter(str(tmp_path), options)
    assert isinstance(segmenter, ClipSegSegmenter)
    by_engine = segmenter.network._decode != segmenter.network._decode_prompts
    here = compiled_functions(torch.device("cpu"), torch.float32) is not None
    assert by_engine == (not fits or not here)
    [result] = segment(segmenter, vocabulary, blots(48, 64), threshold=0.5)
    by_torch = load_segmenter(str(tmp_path), replace(options, engine="torch", precision="fp32"))
    [expected] = segment(by_torch, vocabulary, blots(48, 64), threshold=0.5)
    assert (result.label == expected.label).mean() > 0.995
    assert len(np.unique(expected.label)) > 1


@pytest.mark.parametrize(
    "changes",
    [
        {"reduce_dim": 16},
        {"reduce_dim": 128},
        {"decoder_num_attention_heads": 8},
        {"decoder_intermediate_size": 96},
    ],
)
def test_layers_of_other_shapes_are_left_to_torch(
    functions: CompiledFunctions, changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled_decoder, "compiled_functions", lambda *_: functions)
    assert compiled_layer(model().decoder.layers[0], functions.dtype) is not None
    assert compiled_layer(model(**changes).decoder.layers[0], functions.dtype) is None


def test_upsampling_of_other_shapes_is_left_to_torch(
    functions: CompiledFunctions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled_decoder, "compiled_functions", lambda *_: functions)
    refined = Head(model().decoder.transposed_convolution)
    assert compiled_upsampling(refined._convolution, refined.blocks, functions.dtype) is not None
    plain = Head(model(use_complex_transposed_convolution=False).decoder.transposed_convolution)
    assert compiled_upsampling(plain._convolution, plain.blocks, functions.dtype) is None
    narrow = Head(model(reduce_dim=16).decoder.transposed_convolution)
    assert compiled_upsampling(narrow._convolution, narrow.blocks, functions.dtype) is None


@pytest.mark.parametrize(
    ("dtype", "flags", "kind"),
    [
        (torch.float32, AVX512 | {"avx512_bf16", "amx_bf16"}, "avx512"),
        (torch.float32, {"avx2", "fma"}, "avx2"),
        (torch.float32, {"avx2", "fma", "avx512f"}, "avx2"),
        (torch.float32, {"avx2"}, None),
        (torch.float32, {"asimd"}, None),
        (torch.bfloat16, AVX512 | {"avx512_bf16"}, "avx512_bf16"),
        (torch.bfloat16, AVX512 | {"avx512_bf16", "amx_bf16"}, None),
        (torch.bfloat16, AVX512, None),
        (torch.float16, AVX512, None),
    ],
)
def test_the_functions_are_those_that_the_processor_has(
    dtype: torch.dtype, flags: set[str], kind: str | None
) -> None:
    assert kind_of_processor(dtype, Processor("", frozenset(flags))) == kind


def test_the_network_uses_them_where_the_processor_has_them() -> None:
    found = compiled_functions(torch.device("cpu"), torch.float32)
    expected = compiled_kernels() is not None and this_processor().flags >= {"avx2", "fma"}
    assert (found is not None) == expected
    assert compiled_functions(torch.device("meta"), torch.float32) is None
