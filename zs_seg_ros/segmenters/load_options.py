# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Options for loading a model."""

from __future__ import annotations

from dataclasses import dataclass

ENGINES = ("torch", "onnxruntime", "auto")
"""What computes a network; auto: ONNX Runtime where the model was exported, otherwise torch."""
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
"""The short names of ONNX Runtime's execution providers, and its own."""

DEFAULT_MODEL = "CIDAS/clipseg-rd64-refined"
"""The model of the node where none is named."""


@dataclass(frozen=True)
class LoadOptions:
    """Options for loading a model.

    device: auto, cpu, cuda or cuda:N. precision: auto, fp32, fp16 or bf16, or int8 of an export. revision: of a Hugging
    Face id, '' for the newest on disk; for a pair two revisions, joined by `+` in the order of the models, of which
    either may be empty. compile: whether to torch.compile the model, which starts slower and runs faster afterwards.
    inference_size: the side, or the short side, in pixels, at which the model, or the detector of a pair, segments
    images; 0 for the checkpoint's own. mask_inference_size: the same for the mask model of a pair. engine: torch,
    onnxruntime, or auto, which is onnxruntime where the model was exported. providers: ONNX Runtime's execution
    providers, in order; empty for that of the CPU. export_folder: of the exported files; '' for the one beside the
    checkpoint.
    """

    device: str = "auto"
    precision: str = "auto"
    revision: str = ""
    compile: bool = False
    inference_size: int = 0
    mask_inference_size: int = 0
    engine: str = "torch"
    providers: tuple[str, ...] = ()
    export_folder: str = ""


DEFAULT_OPTIONS = LoadOptions()
