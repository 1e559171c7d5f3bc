# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Model folders with files of other kinds and configurations of any content: one sentence, in bounded memory."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from families import FAMILIES, Family, write_small_clipseg, write_small_dense

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter

CPU = LoadOptions(device="cpu")
LARGE = 10**9
VALUES = (None, 0, -1, LARGE, 2**70, 1.5, "x", [], {}, [[[]]], True)
NUMBERS = ("embedding_dim", "colour_dim", "max_words", "image_pixels")
MORE_MEMORY_MB = 1000
"""Above it lies each of the sizes of 10^9 that a configuration asks for; below it what a library's defaults take."""
MODELS_OF_FAMILY = 12


def refused(model: Path | str, reason: str = "") -> str:
    """Load a model, which fails with one printable sentence; return the sentence."""
    with pytest.raises(ModelError, match=reason) as raised:
        load_segmenter(str(model), CPU)
    message = str(raised.value)
    assert message.isprintable() and len(message) < 1000
    return message


def changed(folder: Path, **entries: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))
    return folder


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    folder = tmp_path / "dense"
    folder.mkdir()
    return Path(write_small_dense(folder))


@pytest.fixture
def clipseg(tmp_path: Path) -> Path:
    folder = tmp_path / "clipseg"
    return Path(write_small_clipseg(folder))


# --- the configuration of the built-in model ---


@pytest.mark.parametrize("value", [v for v in VALUES if v is not True], ids=str)
@pytest.mark.parametrize("key", NUMBERS)
def test_a_number_of_the_built_in_model_that_is_none_is_named(
    dense: Path, key: str, value: object
) -> None:
    refused(changed(dense, **{key: value}), f"{key} is .*; it must be an integer from")


@pytest.mark.parametrize("key", NUMBERS)
def test_true_is_no_number_of_the_built_in_model(dense: Path, key: str) -> None:
    refused(changed(dense, **{key: True}), f"{key} is True; it must be an integer from")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("widths", 8, "widths is 8; it must be a list"),
        ("widths", "8888", "widths is '8888'; it must be a list"),
        ("widths", {"8": 8}, "widths is a mapping of 1 entries; it must be a list"),
        ("widths", None, "widths is None; it must be a list"),
        ("widths", [], "widths must be four numbers"),
        ("widths", [8, 8, 8], "widths must be four numbers"),
        ("widths", [8] * 100_000, "widths must be four numbers"),
        ("widths", [8, 8, 8, LARGE], r"widths\[3\] is 1000000000; it must be an integer from 1"),
        ("widths", [8, [8], 8, 8], r"widths\[1\] is a list of 1 entries; it must be an integer"),
        ("widths", [1, 8, 8, 8], "the first of them 2 or more"),
        ("backbone_widths", "888888", "backbone_widths is '888888'; it must be a list"),
        ("backbone_widths", [8] * 5, "backbone_widths must be six numbers or none"),
        ("backbone_widths", [8] * 5 + [0], r"backbone_widths\[5\] is 0; it must be an integer"),
        ("support", [0.1, 0.2], "support must be three numbers from -100 to 100, or none"),
        ("support", [-2, 0.5, float("nan")], "support must be three numbers"),
        ("support", [-2, True, 0.4], "support must be three numbers"),
        ("support", ["-2", 0.5, 0.4], "support must be three numbers"),
        ("words", "mug", "words is 'mug'; it must be a list"),
        ("words", 7, "words is 7; it must be a list"),
        ("words", ["mug", 7], "words must be at most 100000 texts"),
        ("words", [["mug"]], "words must be at most 100000 texts"),
        ("words", ["mug"] * 100_001, "words must be at most 100000 texts"),
        ("colour_dim", 8, "colour_dim must be less than embedding_dim"),
        ("caution", ["careful"], "caution is a list of 1 entries; it must be text"),
        ("surprise", 1, "surprise"),
        ("image_pixels", 255, "image_pixels is 255; it must be an integer from 256"),
        ("model_type", LARGE, "has no text as model_type"),
        ("model_type", ["zs_seg_dense"], "has no text as model_type"),
    ],
)
def test_what_is_wrong_in_the_configuration_of_the_built_in_model_is_named(
    dense: Path, key: str, value: object, reason: str
) -> None:
    refused(changed(dense, **{key: value}), reason)


@pytest.mark.parametrize("missing", ["words", "widths"])
def test_a_list_that_the_configuration_of_the_built_in_model_lacks_is_named(
    dense: Path, missing: str
) -> None:
    path = dense / "config.json"
    path.write_text(
        json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != missing})
    )
    refused(dense, missing)


def test_the_largest_network_that_a_configuration_can_ask_for_takes_no_memory(dense: Path) -> None:
    words = [f"w{i}" for i in range(100_000)]
    changed(
        dense,
        widths=[1024] * 4,
        backbone_widths=[1024] * 6,
        embedding_dim=1024,
        words=words,
    )
    before = peak_mb()
    refused(dense, "size mismatch|cannot be loaded")
    assert peak_mb() - before < 300  # the network would take 1200


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "", "\0", "[]", "7", "nul"])
def test_a_configuration_that_is_no_mapping_is_refused(dense: Path, text: str) -> None:
    (dense / "config.json").write_text(text)
    refused(dense, "config.json cannot be read as a model configuration")


# --- files of other kinds ---


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket has at most 107 characters
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(here)


SPECIAL: dict[str, Callable[[Path], object]] = {
    "fifo": os.mkfifo,
    "socket": _socket,
    "zero": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
}


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_file_of_the_built_in_model_that_is_of_another_kind_is_not_opened(
    dense: Path, file: str, kind: str
) -> None:
    (dense / file).unlink()
    SPECIAL[kind](dense / file)
    refused(dense, "holds no model" if file == "config.json" else "neither a file nor a folder")


def test_a_file_of_a_checkpoint_that_is_of_another_kind_is_not_opened(clipseg: Path) -> None:
    for file in (
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "merges.txt",
        "preprocessor_config.json",
        "processor_config.json",
        "generation_config.json",
        "adapter_config.json",
        "chat_template.jinja",
        "additional_chat_templates/other.jinja",
        "notes/more/notes.txt",
    ):
        path, aside = clipseg / file, clipseg.parent / "aside"
        path.parent.mkdir(parents=True, exist_ok=True)
        if was_there := path.exists():
            path.rename(aside)
        for make in SPECIAL.values():
            make(path)
            refused(clipseg, f"{path.name} is neither a file nor a folder and is not opened")
            path.unlink()
        if was_there:
            aside.rename(path)
    load_segmenter(str(clipseg), CPU)


def test_a_linked_subfolder_with_a_fifo_is_refused(clipseg: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.mkfifo(elsewhere / "a.jinja")
    (clipseg / "additional_chat_templates").symlink_to(elsewhere)
    refused(clipseg, "a.jinja is neither a file nor a folder")


def test_subfolders_in_a_circle_and_hidden_ones_are_no_obstacle(clipseg: Path) -> None:
    (clipseg / "again").symlink_to(clipseg)
    (clipseg / ".cache").mkdir()
    os.mkfifo(clipseg / ".cache" / "fifo")
    assert load_segmenter(str(clipseg), CPU).model == str(clipseg)


# --- the configurations of every family ---


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def places(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from places(inner, (*path, key))


def replaced(config: Any, path: tuple[str, ...], value: object) -> str:
    copy = inner = json.loads(json.dumps(config))
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return json.dumps(copy)


@pytest.mark.parametrize(
    "family", [f for f in FAMILIES if not f.name.startswith("mm-")], ids=lambda family: family.name
)
def test_a_wrong_value_anywhere_in_the_files_of_a_model_is_one_sentence_or_loads(
    family: Family, tmp_path: Path
) -> None:
    model = family.write(tmp_path)
    load_segmenter(model, CPU)
    random = Random(family.name)
    files = [p for p in sorted(tmp_path.rglob("*.json")) if p.name != "tokenizer.json"]
    changes = [
        (file, place, value)
        for file in files
        for place in places(json.loads(file.read_text()))
        for value in VALUES
    ]
    before = peak_mb()
    messages = []
    for file, place, value in random.sample(changes, MODELS_OF_FAMILY):
        good = file.read_text()
        file.write_text(replaced(json.loads(good), place, value))
        try:
            load_segmenter(model, CPU)
        except ModelError as error:
            messages.append(str(error))
        file.write_text(good)
    assert messages and all(m.isprintable() and len(m) < 1000 for m in messages)
    assert peak_mb() - before < MORE_MEMORY_MB


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("config.json", ("text_config", "hidden_size")),
        ("config.json", ("text_config", "vocab_size")),
        ("config.json", ("text_config", "max_position_embeddings")),
        ("config.json", ("vision_config", "image_size")),
        ("config.json", ("vision_config", "patch_size")),
        ("config.json", ("vision_config", "intermediate_size")),
        ("config.json", ("reduce_dim",)),
        ("config.json", ("projection_dim",)),
        ("preprocessor_config.json", ("size",)),
    ],
)
def test_a_size_of_a_billion_is_refused_without_its_memory(
    clipseg: Path, file: str, place: tuple[str, ...]
) -> None:
    load_segmenter(str(clipseg), CPU)
    path = clipseg / file
    path.write_text(replaced(json.loads(path.read_text()), place, LARGE))
    before = peak_mb()
    refused(clipseg, "cannot be loaded|damaged")
    assert peak_mb() - before < MORE_MEMORY_MB


def test_another_library_error_while_a_model_is_made_is_one_sentence(
    dense: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zs_seg_ros.segmenters.dense import segmenter

    def fail(*_: object) -> None:
        raise ZeroDivisionError("division\n[ERROR] forged\x1b[2J")

    monkeypatch.setattr(segmenter, "choose_device", fail)
    message = refused(dense, r"cannot be loaded \(ZeroDivisionError: division")
    assert "\\n[ERROR] forged\\x1b" in message and message.endswith("fetch it again")


def test_a_copy_of_the_folder_loads(dense: Path, tmp_path: Path) -> None:
    """The folders above are refused for what was changed in them."""
    shutil.copytree(dense, tmp_path / "copy")
    assert load_segmenter(str(tmp_path / "copy"), CPU).model == str(tmp_path / "copy")
