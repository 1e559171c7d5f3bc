# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A hostile model folder: configure fails, or the model loads."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from attack import LOADING_S, Attack
from files import configure
from node_target import NodeTarget, node_target
from rclpy.parameter import Parameter

import zs_seg_ros

COUNT = 130
VALUES = (None, 0, -1, 1e9, 10**9, "x", "\x1b[2J", [], {}, [1], True, 2**70, "y" * 100_000)
SHARED: dict[str, Path] = {}
"""Good model folders, which the hostile ones are copied from."""
NAMES = (
    "..", ".", "/", "tabletop/..", "~no-such-user-here/m", "x" * 100_000, "\x1b[2J", "a + b", "+",
    " + ".join("ab" * 99),
    "/dev/stdin", "/proc/self/mem", "/proc/self/fd/0", "file:///etc/passwd", "https://localhost/x",
    "tabletop + tabletop", "no-such-owner/no-such-model",
)  # fmt: skip
HEADERS = {
    "length of 2^63": struct.pack("<Q", 2**63) + b"{}",
    "length of 2^31": struct.pack("<Q", 2**31) + b"{}",
    "depth": struct.pack("<Q", 100_000) + b"[" * 100_000,
    "shape of 2^60": b'{"a":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,4]}}',
    "negative shape": b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}',
    "offsets of 2^63": b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[9223372036854775807,4]}}',
    "overlap": b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},'
    b'"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}',
    "names": b'{"\\u001b[2J\\n[ERROR] forged":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}',
}


@contextmanager
def target(work: Path, _: dict[str, Path]) -> Iterator[NodeTarget]:
    with node_target(work, "autostart:=false", "classes:=[red]") as node:
        # Importing the libraries takes seconds, which are no model's fault: load good models first.
        for model in ("tabletop", str(SHARED["clipseg"])):
            [result] = node.set_parameters(Parameter("model", value=model).to_parameter_msg())
            if not (result.successful and node.change_state("configure", timeout_s=LOADING_S)):
                raise SystemExit(f"the good model {model} does not load: {node.log_text()[-2000:]}")
            node.change_state("cleanup", timeout_s=LOADING_S)
        yield node


def _loads(path: str, refused: bool | None) -> Any:
    return lambda node: configure(node, "model", path, refused)


def attacks(random: Random, work: Path, foreign: dict[str, Path]) -> Iterator[Attack]:
    for kind, path in foreign.items():
        yield Attack(f"model is {kind}", _loads(str(path), True))
        yield Attack(f"second model is {kind}", _loads(f"tabletop + {path}", True))
    for name in NAMES:
        yield Attack(f"model is {name[:30]!r}", _loads(name, True))
    built_in = Path(zs_seg_ros.__file__).parent / "builtin_models" / "tabletop"
    if not built_in.is_dir():
        built_in = Path(__file__).parents[2] / "models" / "tabletop"
    config = json.loads((built_in / "config.json").read_text())
    for name, header in HEADERS.items():
        folder = _folder(work, f"header {name}", built_in)
        packed = header if header[0] != ord("{") else struct.pack("<Q", len(header)) + header
        (folder / "model.safetensors").write_bytes(packed + bytes(8))
        yield Attack(f"header {name}", _loads(str(folder), True))
    yield from _transformers(random, work, foreign)
    for number in range(
        COUNT - 2 * len(foreign) - len(NAMES) - len(HEADERS) - len(_changes(foreign))
    ):
        folder = work / f"model{number}"
        folder.mkdir()
        weights, file = folder / "model.safetensors", folder / "config.json"
        if number % 3 == 0:
            os.mkfifo(weights)
            file.write_text(json.dumps(config))
        elif number % 3 == 1:
            shutil.copyfile(built_in / "model.safetensors", weights)
            key = random.choice(sorted(config))
            file.write_text(json.dumps(config | {key: random.choice(VALUES)}))
        else:
            weights.write_bytes(random.randbytes(random.choice((0, 7, 8, 4000))))
            text = random.choice(
                ("[" * 100_000, "{}", "", "\0", json.dumps(config), '{"a":' * 9999)
            )
            file.write_text(text)
        yield Attack(f"folder {number}", _loads(str(folder), None if number % 3 == 1 else True))


def _folder(work: Path, name: str, copied: Path) -> Path:
    folder = work / name.replace(" ", "_").replace("/", "_")
    shutil.copytree(copied, folder)
    return folder


def _transformers(random: Random, work: Path, foreign: dict[str, Path]) -> Iterator[Attack]:
    """Checkpoints in the format of transformers, which itself reads most of their files."""
    from zs_seg_ros.testing.clipseg import small_clipseg_config, write_clipseg

    good = SHARED["clipseg"] = work / "clipseg"
    write_clipseg(good, small_clipseg_config(), image_side=64)
    for name, (change, refused) in _changes(foreign).items():
        folder = _folder(work, name, good)
        change(folder)
        yield Attack(name, _loads_without_code(folder, work / "executed", refused))


def _loads_without_code(folder: Path, mark: Path, refused: bool | None) -> Any:
    def act(node: NodeTarget) -> str:
        fault = configure(node, "model", str(folder), refused)
        return fault or (f"{mark} was written by code in the folder" if mark.exists() else "")

    return act


Change = Callable[[Path], object]


def _changes(foreign: dict[str, Path]) -> dict[str, tuple[Change, bool | None]]:
    """Return what is done to a good folder, and whether it must be refused."""
    changes: dict[str, tuple[Change, bool | None]] = {
        "code in the folder": (_add_code, None),
        "a pickle for weights": (_pickle, True),
        "an index that leaves the folder": (_index("../../../../../../etc/passwd"), True),
        "an index of a fifo": (_index(str(foreign["fifo"])), True),
        "an index of 100,000 brackets": (
            _text("model.safetensors.index.json", "[" * 100_000),
            None,
        ),
    }
    for file in (
        "config.json",
        "tokenizer.json",
        "preprocessor_config.json",
        "tokenizer_config.json",
    ):
        for name, text in {
            "100,000 brackets": "[" * 100_000, "nothing": "", "a list": "[]", "zeros": "\0\1\2", "a number": "7",
        }.items():  # fmt: skip
            # Not every file has to be there: what it lacks has defaults.
            changes[f"{file} of {name}"] = (
                _text(file, text),
                True if file == "config.json" else None,
            )
        for kind in ("fifo", "zero", "folder", "giant"):
            must = True if file in ("config.json", "tokenizer.json") else None
            changes[f"{file} is {kind}"] = (_link(file, foreign[kind]), must)
    for key, value in {
        "hidden_size": 10**9, "num_hidden_layers": 10**7, "vocab_size": 2**62, "num_attention_heads": 0,
    }.items():  # fmt: skip
        changes[f"text {key} of {value}"] = (_nested("text_config", key, value), True)
        if key != "vocab_size":
            changes[f"vision {key} of {value}"] = (_nested("vision_config", key, value), True)
    changes["images of 10^6"] = (_size(10**6), None)
    changes["images of -1"] = (_size(-1), True)
    return changes


def _text(name: str, text: str) -> Change:
    return lambda folder: (folder / name).write_text(text)


def _link(name: str, place: Path) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(place)

    return change


def _index(place: str) -> Change:
    def change(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        text = json.dumps({"metadata": {"total_size": 4}, "weight_map": {"a": place}})
        (folder / "model.safetensors.index.json").write_text(text)

    return change


def _nested(part: str, key: str, value: Any) -> Change:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        config[part][key] = value
        (folder / "config.json").write_text(json.dumps(config))

    return change


def _size(side: int) -> Change:
    def change(folder: Path) -> None:
        path = folder / "preprocessor_config.json"
        settings = json.loads(path.read_text()) | {"size": {"height": side, "width": side}}
        path.write_text(json.dumps(settings))

    return change


def _add_code(folder: Path) -> None:
    mark = folder.parent / "executed"
    (folder / "hostile.py").write_text(f"open({str(mark)!r}, 'w')\nclass Hostile: pass\n")
    for name in ("config.json", "preprocessor_config.json", "tokenizer_config.json"):
        settings = json.loads((folder / name).read_text())
        code = dict.fromkeys(
            ("AutoConfig", "AutoModel", "AutoTokenizer", "AutoImageProcessor"), "hostile.Hostile"
        )
        (folder / name).write_text(json.dumps(settings | {"auto_map": code}))


def _pickle(folder: Path) -> None:
    mark = folder.parent / "executed"
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(
        b"cos\nsystem\n(S'touch " + str(mark).encode() + b"'\ntR."
    )
