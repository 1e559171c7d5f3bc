# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Trains the built-in model `tabletop` from random weights: renders the images, trains, writes the checkpoint.

    python -m training.train --minutes 60 --output models/tabletop

The learning rate follows the clock, so that a run always ends with a fully cooled-down model. A run that is
interrupted goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.multiprocessing
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import Tensor, distributed
from torch.nn import functional
from tqdm import tqdm

from training.dataset import render_dataset, render_shard
from training.names import (
    ALL_PAIRS,
    COLOURS,
    HELD_OUT_PAIRS,
    IGNORE,
    IGNORED_WORDS,
    KINDS,
    SILENT_WORDS,
    colour_words,
    known_words,
)
from training.prompts import sample_prompts
from zs_seg_ros.files import NewFile, any_file, write_output
from zs_seg_ros.segmenters.dense.config import DenseConfig
from zs_seg_ros.segmenters.dense.network import DenseNetwork

CLOSE_CROP_PX = 96  # first, crops around one object each, which all have about one size: kinds
WIDE_CROP_PX = 160  # are learned many times faster; then from anywhere, objects as large as in use
SAMPLED_PIXELS = 1000  # of each crop, at half resolution, on which every prompt is scored
CHECKPOINT_S = 180
CAUTION = (
    "tabletop is a demonstration model, trained on rendered toys alone: "
    "it is for demonstrations and tests, not for real cameras"
)
PROMPTS_PER_CROP = 8  # of each crop, on which the full-resolution mask is scored

# Index of a pair image's value in KINDS or COLOURS, plus one; 0 is the background.
_KIND_OF_PAIR = torch.tensor([0, *(1 + KINDS.index(kind) for _, kind in ALL_PAIRS)])
_COLOUR_OF_PAIR = torch.tensor([0, *(1 + COLOURS.index(colour) for colour, _ in ALL_PAIRS)])
# Kinds that never occur in the colour of a pair, and colours that never occur on its kind: (1 + pairs, 1 + names).
_KIND_HELD_OUT = torch.tensor(
    [[False] * (1 + len(KINDS))]
    + [[False, *((colour, k) in HELD_OUT_PAIRS for k in KINDS)] for colour, _ in ALL_PAIRS]
)
_COLOUR_HELD_OUT = torch.tensor(
    [[False] * (1 + len(COLOURS))]
    + [[False, *((c, kind) in HELD_OUT_PAIRS for c in COLOURS)] for _, kind in ALL_PAIRS]
)


class TrainingData:
    """All images in memory, in shards: rgb (N, H, W, 3) uint8 and pair (N, H, W) uint8."""

    def __init__(self, shards: list[Path]) -> None:
        self._read: set[Path] = set()
        self._shards: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
        self.read(shards)

    def read(self, shards: list[Path]) -> None:
        """Read the shards that were not read before."""
        for path in tqdm([p for p in shards if p not in self._read], desc="loading", unit="shard"):
            with np.load(path) as shard:
                self._shards.append((shard["rgb"], shard["pair"]))
            self._read.add(path)

    def random(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return an image and its pair image."""
        rgb, pair = self._shards[int(rng.integers(len(self._shards)))]
        index = int(rng.integers(len(rgb)))
        return rgb[index], pair[index]


def sample_crops(
    data: TrainingData, count: int, close: bool, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Random crops, flipped and re-lit: (B, 3, S, S) in 0..1 and pair images (B, S, S)."""
    size = (CLOSE_CROP_PX, CLOSE_CROP_PX) if close else (WIDE_CROP_PX, WIDE_CROP_PX)
    images, pairs = [], []
    for _ in range(count):
        rgb, pair = data.random(rng)
        window = close_window(pair, rng) if close else wide_window(pair, rng)
        rgb, pair = rgb[window], pair[window]
        if rng.random() < 0.5:
            rgb, pair = rgb[:, ::-1], pair[:, ::-1]
        image = torch.from_numpy(rgb.astype(np.float32)).permute(2, 0, 1)[None] / 255
        target = torch.from_numpy(pair.astype(np.float32))[None, None]
        images.append(functional.interpolate(image, size, mode="bilinear"))
        pairs.append(functional.interpolate(target, size, mode="nearest")[:, 0])
    return relight(torch.cat(images), rng), torch.cat(pairs).long()


def wide_window(pair: NDArray[np.uint8], rng: np.random.Generator) -> tuple[slice, slice]:
    height, width = pair.shape
    side = min(int(WIDE_CROP_PX * np.exp(rng.uniform(-0.35, 0.35))), height)
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    return slice(top, top + side), slice(left, left + side)


def close_window(pair: NDArray[np.uint8], rng: np.random.Generator) -> tuple[slice, slice]:
    """Return a window around a random object, 1.4 to 5 times as wide as it."""
    present = [value for value in np.unique(pair) if value not in (0, IGNORE)]
    if not present:
        return wide_window(pair, rng)
    rows, columns = np.nonzero(pair == present[int(rng.integers(len(present)))])
    object_side = max(int(np.ptp(rows)), int(np.ptp(columns))) + 1
    side = int(np.clip(object_side * np.exp(rng.uniform(np.log(1.4), np.log(5))), 40, len(pair)))
    room = max(1, (side - object_side) // 2)
    starts = []
    for middle, length in zip((_middle(rows), _middle(columns)), pair.shape, strict=True):
        start = middle - side // 2 + int(rng.integers(-room, room + 1))
        starts.append(min(max(start, 0), length - side))
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)


def _middle(positions: NDArray[np.int64]) -> int:
    return int(positions.min() + positions.max()) // 2


def relight(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Exposure, gamma, white balance, blur and noise as a camera varies them; colours keep their names."""
    count = len(images)

    def factor(spread: float, *shape: int) -> Tensor:
        return torch.from_numpy(np.exp(rng.uniform(-spread, spread, shape)).astype(np.float32))

    images = images.clamp(0.001, 1) ** factor(0.22, count, 1, 1, 1)
    images = images * factor(0.25, count, 1, 1, 1) * factor(0.05, count, 3, 1, 1)
    for i in np.nonzero(rng.random(count) < 0.2)[0]:
        images[i] = functional.avg_pool2d(images[i : i + 1], 3, 1, 1)[0]
    noise = torch.randn_like(images) * float(rng.uniform(0, 0.035))
    return (images + noise).clamp(0, 1)


def sample_pixels(
    pixels: Tensor, pairs: Tensor, per_crop: int = SAMPLED_PIXELS
) -> tuple[Tensor, Tensor]:
    """Embeddings (N, D) and pairs (N) of random pixels at half resolution.

    Half of them lie on objects, and there every object has the same weight, whatever its size: otherwise a
    few large ones would dominate the loss.
    """
    half = pairs[:, ::2, ::2]
    uniform = ((half == pairs[:, 1::2, 1::2]) & (half != IGNORE)).flatten()
    crop = torch.arange(len(pairs))[:, None, None]
    instance = (crop * 256 + half).flatten()
    weight = uniform / torch.bincount(instance)[instance]
    half = half.flatten()
    requested = len(pairs) * per_crop // 2
    weights = (weight * (half > 0), (uniform & (half == 0)).to(weight.dtype))
    index = torch.cat(
        [torch.multinomial(w, requested, replacement=True) for w in weights if w.any()]
    )
    embeddings = pixels.permute(0, 2, 3, 1).reshape(-1, pixels.shape[1])[index]
    return embeddings, half[index]


@dataclass(frozen=True, eq=False)
class PromptTensors:
    """`matches` and `judged` of a PromptBatch as (K, 1 + pairs) float32, 0 or 1."""

    matches: Tensor
    judged: Tensor


def prompt_loss(
    embeddings: Tensor, pairs: Tensor, prompts: PromptTensors, network: DenseNetwork, text: Tensor
) -> Tensor:
    """Return the binary cross entropy of every prompt at every sampled pixel."""
    logits = network.logits(embeddings.T[None, :, :, None], text)[0, :, :, 0]
    target, judged = prompts.matches[:, pairs], prompts.judged[:, pairs]
    loss = functional.binary_cross_entropy_with_logits(logits, target, judged, reduction="sum")
    return loss / len(pairs)


def naming_loss(embeddings: Tensor, pairs: Tensor, heads: Tensor) -> Tensor:
    """Return the cross entropy of kind and of colour, directly from the image embeddings.

    Without it the image encoder hardly learns kinds at first, because the text embeddings are still random.
    """
    kinds, colours = heads.split([len(KINDS) + 1, len(COLOURS) + 1], dim=0)
    kind_logits = (embeddings @ kinds.T).masked_fill(_KIND_HELD_OUT[pairs], -torch.inf)
    colour_logits = (embeddings @ colours.T).masked_fill(_COLOUR_HELD_OUT[pairs], -torch.inf)
    kind_loss = functional.cross_entropy(kind_logits, _KIND_OF_PAIR[pairs])
    return kind_loss + functional.cross_entropy(colour_logits, _COLOUR_OF_PAIR[pairs])


def mask_loss(
    pixels: Tensor,
    pairs: Tensor,
    prompts: PromptTensors,
    network: DenseNetwork,
    text: Tensor,
    rng: np.random.Generator,
) -> Tensor:
    """Return binary cross entropy and Dice of full-resolution masks, for present and some absent prompts."""
    chosen = torch.from_numpy(np.stack([_prompts_for(p, prompts.matches, rng) for p in pairs]))
    logits = torch.cat(
        [network.logits(p, text[c]) for p, c in zip(pixels.split(1), chosen, strict=True)]
    )
    logits = functional.interpolate(logits, pairs.shape[-2:], mode="bilinear")
    column = torch.where(pairs == IGNORE, 0, pairs)
    target = _columns(prompts.matches, chosen, column)
    judged = _columns(prompts.judged, chosen, column) * (pairs != IGNORE)[:, None]
    entropy = functional.binary_cross_entropy_with_logits(logits, target, judged)
    probability = logits.sigmoid() * judged
    target = target * judged
    overlap = (probability * target).sum((-1, -2))
    total = probability.sum((-1, -2)) + target.sum((-1, -2))
    present = (target.sum((-1, -2)) > 0).to(logits.dtype)
    dice = (1 - (2 * overlap + 1) / (total + 1)) * present
    return 8 * entropy + dice.sum() / present.sum().clamp(min=1)


def _columns(table: Tensor, chosen: Tensor, column: Tensor) -> Tensor:
    """Return values (B, K, S, S) of a table (prompts, pairs) for the prompts (B, K) and the pair images (B, S, S)."""
    return torch.stack([table[c][:, p] for c, p in zip(chosen, column, strict=True)])


def _prompts_for(pairs: Tensor, matches: Tensor, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return up to five prompts that match an object in the crop, padded with ones that mostly do not."""
    present = torch.unique(pairs)
    present = present[(present > 0) & (present != IGNORE)]
    matching = (matches[:, present] > 0).any(dim=1).numpy()
    candidates = rng.permutation(np.nonzero(matching)[0])[: PROMPTS_PER_CROP - 3]
    others = rng.permutation(np.nonzero(~matching)[0])[: PROMPTS_PER_CROP - len(candidates)]
    return np.concatenate([candidates, others]).astype(np.int64)


def save_checkpoint(network: DenseNetwork, folder: Path) -> None:
    """Write config.json and model.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    network.config.write(folder / "config.json")
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    write_output(folder / "model.safetensors", save(weights))


def update_average(
    average: DenseNetwork, network: DenseNetwork, step: int, longest: float = 0.999
) -> None:
    """Exponential moving average of the weights, short at first."""
    decay = min(longest, (1 + step) / (10 + step))
    with torch.no_grad():
        torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
        for mean, value in zip(average.buffers(), network.buffers(), strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)


class Training:
    """One process's part of a run: network, moving average, optimiser, and how much time is used up.

    Processes with one thread each use two cores far better than one process with two threads, on
    images as small as these; they average their gradients after every step.
    """

    def __init__(
        self, minutes: float, close_share: float, learning_rate: float, folder: Path
    ) -> None:
        torch.manual_seed(0)
        config = DenseConfig(
            known_words(),
            caution=CAUTION,
            silent_words=SILENT_WORDS,
            ignored_words=IGNORED_WORDS,
            leading_words=colour_words(),
        )
        self.network = DenseNetwork(config)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = deepcopy(self.network)
        width = self.network.config.embedding_dim
        self.heads = torch.nn.Parameter(0.05 * torch.randn(len(KINDS) + len(COLOURS) + 2, width))
        decayed = [self.heads, *(p for p in self.network.parameters() if p.ndim > 1)]
        others = [p for p in self.network.parameters() if p.ndim <= 1]
        self.parameters = [*decayed, *others]
        self.optimiser = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}],
            lr=learning_rate,
        )
        self.minutes, self.close_share, self.learning_rate = minutes, close_share, learning_rate
        self.folder = folder
        self.step, self.used_s = 0, 0.0
        self.state_path = folder / "training_state.pt"

    @property
    def progress(self) -> float:
        return min(1.0, self.used_s / (60 * self.minutes))

    def set_learning_rate(self) -> None:
        warm = min(1.0, (self.step + 1) / 100)
        cosine = 0.5 * (1 + math.cos(math.pi * self.progress))
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate * warm * max(cosine, 0.005)

    def train_step(self, data: TrainingData, batch: int, rng: np.random.Generator) -> float:
        """One step; returns the loss."""
        images, pairs = sample_crops(data, batch, self.progress < self.close_share, rng)
        prompts = sample_prompts(rng)
        targets = PromptTensors(
            torch.from_numpy(prompts.matches).float(), torch.from_numpy(prompts.judged).float()
        )
        self.set_learning_rate()
        pixels = self.network.image(images.to(memory_format=torch.channels_last))
        text = self.network.text(self.network.tokenize(prompts.prompts))
        embeddings, pairs_there = sample_pixels(pixels, pairs)
        loss = 2 * naming_loss(embeddings, pairs_there, self.heads)
        loss = loss + 0.5 * prompt_loss(embeddings, pairs_there, targets, self.network, text)
        loss = loss + mask_loss(pixels, pairs, targets, self.network, text, rng)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        average_gradients(self.parameters)
        torch.nn.utils.clip_grad_norm_(self.parameters, 5.0)
        self.optimiser.step()
        update_average(self.average, self.network, self.step)
        self.step += 1
        return float(loss.detach())

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "heads": self.heads.detach(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "used_s": self.used_s,
        }
        with NewFile(self.state_path, any_file) as new:
            torch.save(state, new.stream)
            new.finish()
        save_checkpoint(self.average, self.folder)

    def start_from(self, model: Path) -> None:
        """Take over the image encoder of a checkpoint."""
        weights = load_file(model / "model.safetensors")
        image = {k.removeprefix("image."): v for k, v in weights.items() if k.startswith("image.")}
        for network in (self.network, self.average):
            network.image.load_state_dict(image)

    def resume(self) -> None:
        if self.state_path.exists():
            state = torch.load(self.state_path, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.heads.data.copy_(state["heads"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.used_s = state["step"], state["used_s"]


def average_gradients(parameters: list[torch.nn.Parameter]) -> None:
    """The mean over all processes, in one message."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    parts = flat.div_(distributed.get_world_size()).split([g.numel() for g in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def train(rank: int, arguments: argparse.Namespace, shards: list[Path], meeting_point: str) -> None:
    """One process of the run: train until the time is used up, with checkpoints."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", f"file://{meeting_point}", rank=rank, world_size=arguments.processes
    )
    data = TrainingData(shards)
    run = Training(arguments.minutes, arguments.close_share, arguments.learning_rate, arguments.run)
    if arguments.start_from:
        run.start_from(arguments.start_from)
    run.resume()
    torch.manual_seed(rank + run.step)
    rng = np.random.default_rng([11, rank, run.step])
    bar = tqdm(total=round(60 * run.minutes), unit="s", desc="training", disable=rank > 0)
    last = saved = time.monotonic()
    loss = 0.0
    while run.progress < 1:
        step_loss = run.train_step(data, arguments.batch, rng)
        loss = step_loss if loss == 0 else 0.98 * loss + 0.02 * step_loss
        now = time.monotonic()
        run.used_s = _common_time(run.used_s + now - last)
        last = now
        bar.update(round(run.used_s) - bar.n)
        bar.set_postfix(step=run.step, loss=f"{loss:.3f}", refresh=False)
        if rank == 0 and now - saved > CHECKPOINT_S:
            run.save()
            saved = now
    bar.close()
    if rank == 0:
        run.save()
        save_checkpoint(run.average, arguments.output)
        print(f"{run.step} steps; wrote {arguments.output / 'model.safetensors'}")
    distributed.destroy_process_group()


def _common_time(used_s: float) -> float:
    """The longest of all processes' times, so that all of them end after the same step."""
    shared = torch.tensor([used_s], dtype=torch.float64)
    distributed.all_reduce(shared, op=distributed.ReduceOp.MAX)
    return float(shared)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="training time")
    parser.add_argument("--images", type=int, default=5200, help="images to render")
    parser.add_argument("--batch", type=int, default=16, help="crops in a step of each process")
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--data", type=Path, default=Path("training_data"), help="rendered images")
    parser.add_argument("--run", type=Path, default=Path("training_run"), help="checkpoints")
    parser.add_argument("--output", type=Path, default=Path("models/tabletop"))
    parser.add_argument(
        "--start-from", type=Path, help="a checkpoint whose image encoder is trained further"
    )
    parser.add_argument(
        "--close-share",
        type=float,
        default=0.65,
        help="of the time: crops around single objects, before crops from anywhere",
    )
    parser.add_argument("--processes", type=int, default=2, help="one for each core")
    arguments = parser.parse_args()
    shards = render_dataset(arguments.data, render_shard, arguments.images, arguments.processes)
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(  # type: ignore[no-untyped-call, attr-defined]
            train, (arguments, shards, f"{folder}/meeting_point"), nprocs=arguments.processes
        )


if __name__ == "__main__":
    main()
