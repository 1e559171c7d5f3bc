# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The parameters of the model of segmentation_node, a part of `table`. Imports no ROS."""

from __future__ import annotations

from zs_seg_ros.ros.parameters.spec import Changeable, ParameterGroup, ParameterSpec
from zs_seg_ros.segmenters.load_options import DEFAULT_MODEL, DEFAULT_OPTIONS, ENGINES
from zs_seg_ros.vocabulary.vocabulary import MAX_SIDE_PX

PRECISIONS = ("auto", "fp32", "fp16", "bf16", "int8")

MODEL = ParameterGroup(
    "Model",
    (
        ParameterSpec(
            "model",
            DEFAULT_MODEL,
            "Segmentation model: tabletop (built in), a folder, a Hugging Face id or DETECTOR + MASK_MODEL.",
            "A Hugging Face id must be on the disk, where `zs-seg fetch` stores it: the node never downloads.",
            Changeable.UNCONFIGURED,
        ),
        ParameterSpec(
            "revision",
            DEFAULT_OPTIONS.revision,
            "Branch, tag or commit of the model's Hugging Face id.",
            "Empty: the newest on the disk.",
            Changeable.UNCONFIGURED,
        ),
        ParameterSpec(
            "device",
            DEFAULT_OPTIONS.device,
            "Device for inference: auto, cpu, cuda or cuda:N.",
            "With auto it is a GPU where there is one. With a device that is not available, configure fails.",
            Changeable.UNCONFIGURED,
        ),
        ParameterSpec(
            "precision",
            DEFAULT_OPTIONS.precision,
            "Precision of the model: auto, fp32, fp16, bf16, or int8 of an export.",
            "With auto it is 16 bits on a GPU; on a CPU fp32, but bf16 where the processor and the model gain from it. "
            "With engine onnxruntime it is fp32 or int8, with openvino as the first provider also bf16; auto: int8 "
            "where the model was exported with `--int8`, for openvino with `--calibrate`.",
            Changeable.UNCONFIGURED,
            choices=PRECISIONS,
        ),
        ParameterSpec(
            "compile",
            DEFAULT_OPTIONS.compile,
            "Compile the model with torch.compile.",
            "Inference becomes faster, and the start takes minutes longer.",
            Changeable.UNCONFIGURED,
        ),
        ParameterSpec(
            "engine",
            DEFAULT_OPTIONS.engine,
            "Engine that computes the network: torch, onnxruntime or auto.",
            "onnxruntime computes what `zs-seg export` has written, and configure fails where it has not. auto is "
            "onnxruntime on a CPU where the model was exported, and torch otherwise.",
            Changeable.UNCONFIGURED,
            choices=ENGINES,
        ),
        ParameterSpec(
            "providers",
            ("",),
            "Execution providers of ONNX Runtime, in order: cpu, cuda, tensorrt, openvino.",
            "['']: cpu. With one that the installed onnxruntime lacks, configure fails and names those that it has.",
            Changeable.UNCONFIGURED,
        ),
        ParameterSpec(
            "export_folder",
            DEFAULT_OPTIONS.export_folder,
            "Folder of the model's ONNX files, as `zs-seg export -o` wrote them.",
            "Empty: the one beside the checkpoint.",
            Changeable.UNCONFIGURED,
        ),
        ParameterSpec(
            "inference_size",
            DEFAULT_OPTIONS.inference_size,
            "Short side in pixels at which the model, or the detector of a pair, segments images.",
            "Smaller is faster and coarser. 0: the checkpoint's own size. With a size that the model cannot take, "
            "configure fails and names those that it can.",
            Changeable.UNCONFIGURED,
            range=(0, MAX_SIDE_PX),
            unit="pixels",
        ),
        ParameterSpec(
            "mask_inference_size",
            DEFAULT_OPTIONS.mask_inference_size,
            "Side in pixels at which the mask model of a pair segments images.",
            "As inference_size. 0: the checkpoint's own size.",
            Changeable.UNCONFIGURED,
            range=(0, MAX_SIDE_PX),
            unit="pixels",
        ),
    ),
)
