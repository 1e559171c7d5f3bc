# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.


"""Small checkpoints of video models, and transformers' own streaming session as the reference of their memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision_stand_in import torchvision_stand_in
from transformers import EdgeTamVideoModel, Sam2VideoModel
from transformers.models.edgetam_video import modeling_edgetam_video as edgetam_video
from transformers.models.sam2_video import modeling_sam2_video as sam2_video
from transformers.models.sam3_tracker_video import modeling_sam3_tracker_video as sam3_video
from transformers.models.sam3_tracker_video.modeling_sam3_tracker_video import (
    Sam3TrackerVideoModel,
)

from zs_seg_ros.segmenters.boxes_then_masks.sam2 import EdgeTamBoxSegmenter, Sam2BoxSegmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.sam3.tracker import Sam3VideoSegmenter
from zs_seg_ros.segmenters.shared.memory_network import ObjectState

_SESSIONS = {
    "sam2": (Sam2VideoModel, sam2_video.Sam2VideoInferenceSession),
    "edgetam": (EdgeTamVideoModel, edgetam_video.EdgeTamVideoInferenceSession),
    "sam3": (Sam3TrackerVideoModel, sam3_video.Sam3TrackerVideoInferenceSession),
}
_SIDES = {"sam2": 64, "edgetam": 64, "sam3": 112}


def load_network(kind: str, folder: Path, options: LoadOptions) -> Any:
    """Load the mask model of a checkpoint: what encodes images and has a memory."""
    if kind == "sam3":
        return Sam3VideoSegmenter("x", folder, options)._prompted_network()
    family = Sam2BoxSegmenter if kind == "sam2" else EdgeTamBoxSegmenter
    return family("x", folder, options)


def followed(
    network: Any, images: Sequence[NDArray[np.uint8]], mask: NDArray[np.bool_]
) -> tuple[list[Tensor], list[float], ObjectState]:
    """Mark an object in the first image and follow it: mask logits and object scores of the others, and its state."""
    state = network.memory.remember(network.encode_image(images[0]), torch.from_numpy(mask))
    masks, scores = [], []
    for image in images[1:]:
        logits, score, state = network.memory.follow(network.encode_image(image), state)
        masks.append(logits)
        scores.append(float(score))
    return masks, scores, state


@torch.inference_mode()
def reference(
    kind: str,
    folder: Path,
    images: Sequence[NDArray[np.uint8]],
    mask: NDArray[np.bool_],
    side: int = 0,
) -> tuple[list[Tensor], list[float]]:
    """Follow the object with transformers' processor, streaming session and model.

    side: of the images that the model takes; 0: that of the small checkpoints.
    """
    model_kind, session_kind = _SESSIONS[kind]
    model, side = model_kind.from_pretrained(folder).eval(), side or _SIDES[kind]
    height, width = mask.shape
    session = session_kind(video_height=height, video_width=width, dtype=torch.float32)
    with torchvision_stand_in():
        from transformers.models.sam2.image_processing_sam2 import Sam2ImageProcessor
        from transformers.models.sam2_video.processing_sam2_video import Sam2VideoProcessor

        if kind == "sam3":
            half = [0.5, 0.5, 0.5]
            images_of = Sam2ImageProcessor(
                size={"height": side, "width": side}, image_mean=half, image_std=half
            )
        else:
            images_of = Sam2ImageProcessor.from_pretrained(folder)
        frames = [images_of(image, return_tensors="pt")["pixel_values"] for image in images]
        # Constructing the processor needs torchvision's video functions; this method needs its target size alone.
        add_mask = Sam2VideoProcessor.process_new_mask_for_video_frame
        add_mask(SimpleNamespace(target_size=side), session, 0, [1], mask)
    outputs = [model(session, frame=frame) for frame in frames][1:]
    return (
        [output.pred_masks[0, 0] for output in outputs],
        [float(output.object_score_logits) for output in outputs],
    )
