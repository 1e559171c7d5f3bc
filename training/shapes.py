# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Trains an encoder of shapes of a finished model further, on varied scenes; colours and words stay as they are.

    python -m training.shapes --start-from models/tabletop --minutes 60 --output models/tabletop

`--encoder pretrained` adds a second encoder, which begins with weights that photographs gave, and trains it alone;
`--encoder both` then trains it as what the first one, which stays as it is up to its last layer, lacks.
The encoders of shapes see brightness alone. Of images in which details, patterns and parts go with every kind alike, it
learns outlines and shading, because nothing else tells kinds apart there. One process with one thread; an interrupted
run goes on from its last checkpoint, and images that are rendered meanwhile are used from the next checkpoint on.
"""

from __future__ import annotations

import argparse
import math
import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.dataset import render_dataset, render_shard
from training.imagenet import network_of, with_halves
from training.names import ALL_PAIRS, HELD_OUT_PAIRS, IGNORE, KINDS
from training.prompts import sample_prompts
from training.train import (
    CLOSE_CROP_PX,
    PromptTensors,
    TrainingData,
    close_window,
    prompt_loss,
    relight,
    sample_pixels,
    save_checkpoint,
    update_average,
    wide_window,
)
from training.varied.dataset import render_varied_shard
from zs_seg_ros.files import NewFile, any_file
from zs_seg_ros.segmenters.dense.network import DenseNetwork

WIDE_CROP_PX = 144
CROPS = {CLOSE_CROP_PX: 16, WIDE_CROP_PX: 9}
PIXELS_PER_CROP = 500
CLOSE_SHARE = 0.55
CHECKPOINT_S = 150
ENCODERS = ("shape", "pretrained", "both")
AVERAGE_DECAY = {"shape": 0.995, "pretrained": 0.997, "both": 0.997}
WARM_STEPS = {"shape": 40, "pretrained": 100, "both": 100}
BACKBONE_SHARE = 0.4  # of the learning rate, for the layers that ImageNet's weights begin
MASKS_PER_CROP = 5

_KIND_OF_PAIR = torch.tensor([0, *(1 + KINDS.index(kind) for _, kind in ALL_PAIRS)])
_KIND_HELD_OUT = torch.tensor(
    [[False] * (1 + len(KINDS))]
    + [[False, *((colour, k) in HELD_OUT_PAIRS for k in KINDS)] for colour, _ in ALL_PAIRS]
)


@dataclass(frozen=True)
class ShapeData:
    """Images like the recording's, so that their kinds stay known, and varied ones."""

    own: TrainingData
    varied: TrainingData
    own_share: float

    @classmethod
    def of(cls, folder: Path, own_share: float) -> ShapeData:
        own, varied = _shards(folder)
        return cls(TrainingData(own), TrainingData(varied), own_share)

    def read(self, folder: Path) -> None:
        """Read the shards that were rendered meanwhile."""
        for data, shards in zip((self.own, self.varied), _shards(folder), strict=True):
            data.read(shards)

    def random(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return an image and its pair image."""
        return (self.own if rng.random() < self.own_share else self.varied).random(rng)


def _shards(folder: Path) -> tuple[list[Path], list[Path]]:
    return sorted(folder.glob("shard_*.npz")), sorted(folder.glob("varied_*.npz"))


def sample_crops(data: ShapeData, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return crops of one size, close ones or wide ones: (B, 3, S, S) in 0..1 and pair images (B, S, S)."""
    close = rng.random() < CLOSE_SHARE
    side = CLOSE_CROP_PX if close else WIDE_CROP_PX
    images, pairs = [], []
    for _ in range(CROPS[side]):
        rgb, pair = data.random(rng)
        window = close_window(pair, rng) if close else wide_window(pair, rng)
        rgb, pair = rgb[window], pair[window]
        if rng.random() < 0.5:
            rgb, pair = rgb[:, ::-1], pair[:, ::-1]
        image = torch.from_numpy(rgb.astype(np.float32)).permute(2, 0, 1)[None] / 255
        target = torch.from_numpy(pair.astype(np.float32))[None, None]
        images.append(functional.interpolate(image, (side, side), mode="bilinear"))
        pairs.append(functional.interpolate(target, (side, side), mode="nearest")[:, 0])
    return relight(torch.cat(images), rng), torch.cat(pairs).long()


def kind_loss(embeddings: Tensor, pairs: Tensor, network: DenseNetwork, text: Tensor) -> Tensor:
    """Return the cross entropy of the kinds and the background, whose logit is 0; text: one row for each kind."""
    shape_dim = network.config.embedding_dim - network.config.colour_dim
    offsets = text[:, -2] + network.bias[0]
    kinds = embeddings[:, :shape_dim] @ text[:, :shape_dim].T + offsets
    logits = functional.pad(kinds, (1, 0)).masked_fill(_KIND_HELD_OUT[pairs], -torch.inf)
    return functional.cross_entropy(logits, _KIND_OF_PAIR[pairs])


def mask_loss(
    pixels: Tensor,
    pairs: Tensor,
    prompts: PromptTensors,
    network: DenseNetwork,
    text: Tensor,
    rng: np.random.Generator,
) -> Tensor:
    """Return binary cross entropy and Dice of masks at the logits' resolution, for present and absent prompts."""
    half = pairs[:, ::2, ::2]
    losses = []
    for embedded, pair in zip(pixels, half, strict=True):
        present = torch.unique(pair)
        present = present[(present > 0) & (present != IGNORE)]
        matching = (prompts.matches[:, present] > 0).any(dim=1).numpy()
        shown = rng.permutation(np.nonzero(matching)[0])[: MASKS_PER_CROP - 2]
        others = rng.permutation(np.nonzero(~matching)[0])[: MASKS_PER_CROP - len(shown)]
        chosen = torch.from_numpy(np.concatenate([shown, others]))
        logits = network.logits(embedded[None], text[chosen])[0]
        column = torch.where(pair == IGNORE, 0, pair)
        judged = prompts.judged[chosen][:, column] * (pair != IGNORE)
        target = prompts.matches[chosen][:, column] * judged
        entropy = functional.binary_cross_entropy_with_logits(logits, target, judged)
        probability = logits.sigmoid() * judged
        overlap = (probability * target).sum((-1, -2))
        total = probability.sum((-1, -2)) + target.sum((-1, -2))
        there = (target.sum((-1, -2)) > 0).float()
        dice = ((1 - (2 * overlap + 1) / (total + 1)) * there).sum() / there.sum().clamp(min=1)
        losses.append(8 * entropy + dice)
    return torch.stack(losses).mean()


class ShapeTraining:
    """The run: the network, its moving average, the optimiser, and how much time is used up."""

    def __init__(
        self, model: Path, encoder: str, minutes: float, learning_rate: float, folder: Path
    ) -> None:
        torch.manual_seed(0)
        self.encoder = encoder
        self.network = network_of(model, encoder)
        self.network.requires_grad_(False).eval()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        image = self.network.image
        trained = image.shape if image.pretrained is None else image.pretrained
        trained.requires_grad_(True).train()
        image.shape.embed.requires_grad_(encoder != "pretrained")
        self.average = deepcopy(self.network)
        self.parameters = [p for p in image.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(self._groups())
        self.minutes, self.learning_rate, self.folder = minutes, learning_rate, folder
        self.step, self.used_s = 0, 0.0
        self.state_path = folder / "shape_state.pt"

    def _groups(self) -> list[dict[str, Any]]:
        """Return the parameters with their weight decay and their share of the learning rate."""
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in self.network.image.named_parameters():
            if parameter.requires_grad:
                pretrained = name.startswith(("pretrained.stem", "pretrained.stages"))
                decay = 0.0 if self.encoder == "shape" and parameter.ndim <= 1 else 0.02
                key = (decay, BACKBONE_SHARE if pretrained else 1.0)
                groups.setdefault(key, []).append(parameter)
        return [
            {"params": parameters, "weight_decay": decay, "share": share}
            for (decay, share), parameters in groups.items()
        ]

    def _shape_embeddings(self, brightness: Tensor) -> Tensor:
        image = self.network.image
        if self.encoder == "pretrained" and image.pretrained is not None:
            return image.pretrained(brightness)  # type: ignore[no-any-return]
        return image.embed_shape(brightness)

    @property
    def progress(self) -> float:
        return min(1.0, self.used_s / (60 * self.minutes))

    def train_step(self, data: ShapeData, rng: np.random.Generator) -> float:
        """Take one step; returns the loss."""
        images, pairs = sample_crops(data, rng)
        prompts = sample_prompts(rng)
        targets = PromptTensors(
            torch.from_numpy(prompts.matches).float(), torch.from_numpy(prompts.judged).float()
        )
        rate = self.learning_rate * 0.5 * (1 + math.cos(math.pi * self.progress))
        for group in self.optimiser.param_groups:
            warm = min(1.0, (self.step + 1) / WARM_STEPS[self.encoder])
            group["lr"] = group["share"] * warm * max(rate, 0.01 * self.learning_rate)
        image = self.network.image
        centred = ((images - 0.5) * 4.0).to(memory_format=torch.channels_last)
        brightness = (centred * image.brightness).sum(dim=1, keepdim=True)
        with torch.no_grad():
            text = self.network.text(self.network.tokenize(prompts.prompts))
            kinds = self.network.text(self.network.tokenize(KINDS))
            colour = image.colour(centred)
        pixels = torch.cat([self._shape_embeddings(brightness), colour], dim=1)
        embeddings, pairs_there = sample_pixels(pixels, pairs, PIXELS_PER_CROP)
        loss = 2 * kind_loss(embeddings, pairs_there, self.network, kinds)
        loss = loss + 0.5 * prompt_loss(embeddings, pairs_there, targets, self.network, text)
        loss = loss + mask_loss(pixels, pairs, targets, self.network, text, rng)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.parameters, 5.0)
        self.optimiser.step()
        update_average(self.average, self.network, self.step, AVERAGE_DECAY[self.encoder])
        self.step += 1
        return float(loss.detach())

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "used_s": self.used_s,
        }
        with NewFile(self.state_path, any_file) as new:
            torch.save(state, new.stream)
            new.finish()
        self.write(self.folder)

    def write(self, folder: Path) -> None:
        """Write the averaged network as a checkpoint, in which each encoder gives its part of the embeddings."""
        alone = self.encoder == "pretrained"
        save_checkpoint(with_halves(self.average) if alone else self.average, folder)

    def resume(self) -> None:
        if self.state_path.exists():
            state = torch.load(self.state_path, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.used_s = state["step"], state["used_s"]


def train(run: ShapeTraining, folder: Path, own_share: float) -> None:
    """Train until the time is used up, with checkpoints."""
    data = ShapeData.of(folder, own_share)
    rng = np.random.default_rng([12, run.step])
    last = saved = time.monotonic()
    loss = 0.0
    while run.progress < 1:
        step_loss = run.train_step(data, rng)
        loss = step_loss if loss == 0 else 0.98 * loss + 0.02 * step_loss
        now = time.monotonic()
        run.used_s, last = run.used_s + now - last, now
        if run.step % 20 == 0:
            print(f"{run.used_s:.0f} s, step {run.step}, loss {loss:.3f}", flush=True)
        if now - saved > CHECKPOINT_S:
            run.save()
            data.read(folder)
            saved = now
    run.save()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--start-from", type=Path, required=True, help="the folder of a model")
    parser.add_argument("--encoder", choices=ENCODERS, default="shape", help="see above")
    parser.add_argument("--minutes", type=float, default=100.0, help="training time")
    parser.add_argument(
        "--images", type=int, default=1200, help="images like the recording's to render"
    )
    parser.add_argument(
        "--varied", type=int, default=4800, help="images of varied scenes to render"
    )
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    parser.add_argument(
        "--own-share",
        type=float,
        default=0.5,
        help="of the crops: from images like the recording's",
    )
    parser.add_argument("--data", type=Path, default=Path("training_data"), help="rendered images")
    parser.add_argument("--run", type=Path, default=Path("training_run"), help="checkpoints")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=2, help="that render, one for each core")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    render_dataset(arguments.data, render_shard, arguments.images, arguments.processes)
    render_dataset(arguments.data, render_varied_shard, arguments.varied, arguments.processes)
    run = ShapeTraining(
        arguments.start_from,
        arguments.encoder,
        arguments.minutes,
        arguments.learning_rate,
        arguments.run,
    )
    run.resume()
    train(run, arguments.data, arguments.own_share)
    run.write(arguments.output)
    print(f"{run.step} steps; wrote {arguments.output / 'model.safetensors'}")


if __name__ == "__main__":
    main()
