# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The search for checkpoints, and the errors when they are missing or damaged."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from zs_seg_ros import ModelError, ModelNotFoundError, load_segmenter
from zs_seg_ros.segmenters.shared.checkpoint import (
    find_checkpoint,
    read_config,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty cache of downloaded models, without network."""
    cache = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return cache


def put_in_cache(cache: Path, model: str, revision: str = "main") -> Path:
    repository = cache / f"models--{model.replace('/', '--')}"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text('{"model_type": "clipseg"}')
    (repository / "refs").mkdir()
    (repository / "refs" / revision).write_text(COMMIT)
    return snapshot


def test_a_folder_with_a_configuration_is_a_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert find_checkpoint(str(tmp_path)) == tmp_path


def test_a_link_to_a_file_that_is_gone_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").symlink_to("nowhere")
    with pytest.raises(ModelError, match="is a symbolic link to a file that does not exist"):
        find_checkpoint(str(tmp_path))


def test_the_home_folder_may_be_written_as_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    assert find_checkpoint("~/model") == tmp_path / "model"


def test_a_folder_without_a_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=f"{tmp_path} holds no model"):
        find_checkpoint(str(tmp_path))


@pytest.mark.parametrize(
    "model", ["", "tabeltop", "/no/such/folder", "a/b/c", "a b/c", "~nobody/x", "x" * 5000, "\0"]
)
def test_a_name_that_can_be_no_model_is_refused_with_examples(model: str) -> None:
    with pytest.raises(
        ModelNotFoundError, match=r"there is no model .*tabletop.*folder.*Hugging Face"
    ):
        find_checkpoint(model)


@pytest.mark.parametrize("revision", ["", "v2"])
def test_a_model_that_is_not_on_disk_names_the_command_that_fetches_it(
    hub_cache: Path, revision: str
) -> None:
    command = "zs-seg fetch some/model" + (f" --revision {revision}" if revision else "")
    with pytest.raises(ModelNotFoundError, match=f"some/model is not on this disk.* {command}$"):
        find_checkpoint("some/model", revision)


def test_a_downloaded_model_is_found_without_network(hub_cache: Path) -> None:
    snapshot = put_in_cache(hub_cache, "some/model")
    assert find_checkpoint("some/model") == snapshot
    assert find_checkpoint("some/model", COMMIT) == snapshot


def test_only_the_requested_revision_is_loaded(hub_cache: Path) -> None:
    snapshot = put_in_cache(hub_cache, "some/model", "v2")
    assert find_checkpoint("some/model", "v2") == snapshot
    with pytest.raises(ModelNotFoundError, match=r"is there as v2 only.*--revision v3$"):
        find_checkpoint("some/model", "v3")


def test_a_model_that_is_not_on_disk_says_where_it_was_searched(hub_cache: Path) -> None:
    folder = re.escape(str(hub_cache / "models--some--model"))
    with pytest.raises(ModelNotFoundError, match=rf"{folder} was searched .*main.*another HF_HOME"):
        find_checkpoint("some/model")


def test_an_incomplete_download_counts_as_none(hub_cache: Path) -> None:
    (put_in_cache(hub_cache, "some/model") / "config.json").unlink()
    with pytest.raises(ModelNotFoundError, match="zs-seg fetch some/model"):
        find_checkpoint("some/model")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "\udcff"])
def test_a_damaged_configuration_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content, errors="surrogateescape")
    with pytest.raises(ModelError, match=f"{tmp_path}/config.json cannot be read"):
        load_segmenter(str(tmp_path))


AS_ANOTHER_USER = """
import os, sys
from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.shared.checkpoint import find_checkpoint
if os.geteuid() == 0:
    os.setuid(65534)  # root may read everything
try:
    print(find_checkpoint(sys.argv[1]))
except ModelError as error:
    print(error)
"""


@pytest.mark.parametrize("forbidden", [".", "config.json", "model.safetensors"])
def test_files_that_may_not_be_read_are_named(forbidden: str) -> None:
    with tempfile.TemporaryDirectory() as name:  # tmp_path lies in a folder of its user alone
        folder = Path(name)
        folder.chmod(0o755)
        for file in ("config.json", "model.safetensors"):
            (folder / file).write_text("{}")
            (folder / file).chmod(0o644)
        (folder / forbidden).chmod(0)
        command = [sys.executable, "-c", AS_ANOTHER_USER, name]
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        folder.chmod(0o755)
    [line] = answer.splitlines()
    assert str(folder / forbidden) in line and "permission" in line


def test_an_unknown_kind_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match=r"kind 'bert'.*clipseg.*zs_seg_dense.*owlv2.*sam2"):
        load_segmenter(str(tmp_path))


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ('{"weight_map": {"a": "../other/model.safetensors"}}', "names the weights '../other/"),
        ('{"weight_map": {"a": "/dev/zero"}}', "names the weights '/dev/zero'"),
        ('{"weight_map": {"a": ".."}}', "names the weights"),
        ('{"weight_map": {"a": 7}}', "names the weights 7"),
        ('{"weight_map": ["a"]}', "names the weights"),
        ("[" * 50_000, "cannot be read as an index of weights"),
    ],
    ids=["above", "device", "parent", "number", "list", "deep"],
)
def test_an_index_that_names_files_elsewhere_is_refused(
    tmp_path: Path, index: str, reason: str
) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(ModelError, match=re.escape(reason)):
        find_checkpoint(str(tmp_path))


def test_an_index_of_files_in_the_folder_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    index = '{"weight_map": {"a": "model-00001-of-00002.safetensors"}}'
    (tmp_path / "model.safetensors.index.json").write_text(index)
    assert find_checkpoint(str(tmp_path)) == tmp_path


@pytest.mark.parametrize(
    "config",
    [
        {"text_config": {"num_hidden_layers": 10**7}},
        {"backbone_config": {"depths": [2, 2, 1001]}},
        {"parts": [{"decoder_layers": 5000}]},
        {"num_blocks": -1},
    ],
)
def test_a_configuration_of_absurdly_many_layers_is_refused_before_they_are_made(
    tmp_path: Path, config: dict[str, object]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"it has -?\d+ as \w+, and at most 1000 are built"):
        read_config("some/model", tmp_path)


@pytest.mark.parametrize(
    "model",
    [
        "../mug",
        "mug/..",
        "-mug/cup",
        "mug/cup-",
        "müg/cup",
        "mug/cup.git",
        "a--b/c",
        "a/b/c",
        "m" * 97 + "/c",
    ],
)
def test_a_name_that_the_hub_refuses_is_no_id(model: str) -> None:
    with pytest.raises(ModelNotFoundError, match="there is no model"):
        find_checkpoint(model)
