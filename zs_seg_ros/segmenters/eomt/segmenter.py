# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""EoMT: a plain vision transformer for segmentation (Kerssies et al. 2025, arXiv 2503.19108), a closed-set yardstick.

Loads checkpoints of transformers' `EomtForUniversalSegmentation` that were made for semantic segmentation, such as
tue-mps/ade20k_semantic_eomt_large_512. It takes no prompts but its own labels.

The score of a label at a pixel is the sum over the queries of the label's probability times the mask's, as in
MaskFormer (Cheng et al. 2021, arXiv 2107.06278) and transformers' post-processing, which takes the arg-max. It is the
confidence here, at most 1.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers import EomtForUniversalSegmentation
from transformers.models.eomt.image_processing_pil_eomt import EomtImageProcessorPil

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.base import EncodedVocabulary
from zs_seg_ros.segmenters.engines.parts import Exportable, NetworkPart, Run, image_encoder
from zs_seg_ros.segmenters.eomt.windows import merge_windows, resized_shape, split_windows
from zs_seg_ros.segmenters.finite import check_finite
from zs_seg_ros.segmenters.kept_images import encoded_once
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.shared.closed_set import (
    ClosedSetSegmenter,
    LabelFeatures,
    segment_labels,
)
from zs_seg_ros.segmenters.shared.compiled import Compiled
from zs_seg_ros.segmenters.shared.device import choose_device, choose_precision, precision_name
from zs_seg_ros.segmenters.shared.image_tensors import IMAGENET_MEAN, IMAGENET_STD, prepare
from zs_seg_ros.segmenters.shared.label_names import LabelNames
from zs_seg_ros.segmenters.shared.preprocessing import (
    checked_sides,
    normalisation,
    require_whole_images,
    resampling,
)
from zs_seg_ros.segmenters.shared.pretrained import (
    ImageFormat,
    has_preprocessing,
    load_model,
    reading_preprocessing,
)
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.segmenters.shared.transfers import finished
from zs_seg_ros.types import Batch, RgbImage, Segmentation, size_of

_LEAST_ODDS = 1e-7


class EomtSegmenter(ClosedSetSegmenter, Exportable):
    """Segments images with an EoMT checkpoint in the format of transformers."""

    prompts_are_independent = True

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        self.model = model
        device = choose_device(options.device)
        self.device = str(device)
        self._dtype = choose_precision(options, device, "eomt")
        self.precision = precision_name(self._dtype)
        loaded = load_model(EomtForUniversalSegmentation, model, folder, self._dtype)
        self._names = LabelNames(model, folder, loaded.config.id2label)
        self.only_names = tuple(dict.fromkeys(self._names.labels.values()))
        self._format = _load_format(model, folder, loaded.config.image_size)
        _keep_on_cpu(loaded)
        self.network = loaded.to(device)
        self._forward: Run = Compiled(self._queries) if options.compile else self._queries
        self._mean = torch.tensor(self._format.mean, device=device)
        self._std = torch.tensor(self._format.std, device=device)

    def network_parts(self) -> tuple[NetworkPart, ...]:
        """Return the whole network, for one window."""
        return (
            image_encoder(
                "eomt",
                self._queries,
                self.network,
                self._format.size,
                ("classes", "masks"),
                self._compute_with,
            ),
        )

    def _compute_with(self, run: Run) -> None:
        self._forward = run

    def _queries(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits (B, Q, L + 1) of labels and (B, Q, h, w) of masks, of windows (B, 3, S, S)."""
        output = self.network(pixels)
        return output.class_queries_logits, output.masks_queries_logits

    def _segment(
        self, batch: Batch, encoded: EncodedVocabulary[LabelFeatures]
    ) -> list[Segmentation]:
        results = []
        for image, size in zip(batch.images, batch.sizes, strict=True):
            scores = encoded_once(self, (image,), partial(self.scores, image))
            with stage("finish"):
                log_odds = partial(_log_odds, scores)
                results.append(segment_labels(scores, log_odds, size, batch, encoded))
        with stage("finish"):
            return finished(results)

    @torch.inference_mode()
    def scores(self, image: RgbImage) -> Tensor:
        """Compute the scores, (L, h, w) float32, of all labels, at the resolution that the image is resized to."""
        side, _ = self._format.size
        shape = resized_shape(size_of(image), side)
        with stage("prepare"):
            resample = self._format.resample
            pixels = prepare([image], shape, self._mean, self._std, self._dtype, resample)[0]
        with stage("encode"):  # window by window, which bounds the memory
            windows = [self._window(window[None]) for window in split_windows(pixels, side)]
        return merge_windows(windows, shape)

    def _window(self, pixels: Tensor) -> Tensor:
        """Compute scores (L, S, S) of one window (1, 3, S, S)."""
        of_labels, of_masks = self._forward(pixels)
        labels = of_labels[0].float().softmax(dim=-1)[:, :-1]
        logits = of_masks.float()
        check_finite(logits)
        masks = functional.interpolate(logits, tuple(pixels.shape[-2:]), mode="bilinear")[0]
        return torch.einsum("qc,qhw->chw", labels, masks.sigmoid())


def _keep_on_cpu(loaded: EomtForUniversalSegmentation) -> None:
    """Turn numbers on which the forward pass branches into a list: as a tensor on a GPU it would wait for each."""
    probabilities = loaded.attn_mask_probs.tolist()
    del loaded.attn_mask_probs
    loaded.attn_mask_probs = probabilities


def _log_odds(scores: Tensor, labels: Tensor) -> Tensor:
    """Compute log p / (1 - p), (P, h, w), of the scores p of `labels` from those of all, (L, h, w)."""
    return scores[labels].clamp(_LEAST_ODDS, 1 - _LEAST_ODDS).logit()


def _load_format(model: str, folder: Path, side: int) -> ImageFormat:
    """Load the format of windows; the published values where there is no preprocessor file.

    Raises ModelError when the file is damaged, asks for something that is not supported, or is that of a checkpoint for
    panoptic or instance segmentation.
    """
    if not has_preprocessing(folder):
        return ImageFormat((side, side), IMAGENET_MEAN, IMAGENET_STD)
    with reading_preprocessing(model, folder):
        processor = EomtImageProcessorPil.from_pretrained(folder, local_files_only=True)
        require_whole_images(processor)
        edge, _ = checked_sides(*[processor.size["shortest_edge"]] * 2)
        image_format = ImageFormat((edge, edge), *normalisation(processor), resampling(processor))
    if not processor.do_split_image:
        raise ModelError(
            f"{model} was made for panoptic or instance segmentation (do_split_image is false); give a checkpoint for "
            "semantic segmentation, for example tue-mps/ade20k_semantic_eomt_large_512"
        )
    image_format.check_square(side, model)
    return image_format
