# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`zs-seg fetch` and `zs-seg convert`, with a hub on the loopback interface."""

from __future__ import annotations

import json
import pickle
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from local_hub import COMMIT, Hub, Repository, local_hub
from safetensors.torch import load_file

from zs_seg_ros import ModelError
from zs_seg_ros.cli.main import main
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.shared.checkpoint import find_checkpoint
from zs_seg_ros.segmenters.shared.conversion import convert_weights
from zs_seg_ros.testing.florence2 import small_florence2_config, write_florence2
from zs_seg_ros.testing.sam2 import small_sam2_config, write_sam2
from zs_seg_ros.types import Batch
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

WHOLE = {"config.json": b"{}", "model.safetensors": b"weights", "README.md": b"", "x.bin": b"no"}
PICKLED = {"config.json": b"{}", "pytorch_model.bin": b"pickled"}
TOKENIZER = {"config.json": b"{}", "model.safetensors": b"0" * 100, "tokenizer.model": b"pieces"}
REPOSITORIES = {
    "some/model": Repository({"main": WHOLE, "v2": WHOLE}),
    "some/masks": Repository({"main": WHOLE}),
    "some/pickles": Repository({"main": PICKLED}),
    "some/proposed": Repository(
        {"main": PICKLED, "refs/pr/1": PICKLED, "refs/pr/2": {**PICKLED, "model.safetensors": b"w"}}
    ),
    "some/large": Repository({"main": {**WHOLE, "model.safetensors": b"0" * 10_000}}),
    "some/pieces": Repository({"main": TOKENIZER}),
    "some/other": Repository({"main": {"weights.safetensors": b""}}),
    "some/gated": Repository({"main": WHOLE}, refusal=(401, "GatedRepo")),
    "some/forbidden": Repository({"main": WHOLE}, refusal=(403, "GatedRepo")),
}
Fetch = Callable[..., tuple[int, str, str]]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    constants = "huggingface_hub.constants"
    with local_hub(REPOSITORIES) as served:
        monkeypatch.setattr(f"{constants}.ENDPOINT", served.address)
        template = served.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(f"{constants}.HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(f"{constants}.HF_HUB_OFFLINE", False)
        yield served


@pytest.fixture
def fetch(hub: Hub, capsys: pytest.CaptureFixture[str]) -> Fetch:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["fetch", *arguments])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


def files_asked_for(hub: Hub) -> list[str]:
    return [path for path in hub.requests if "/resolve/" in path]


def test_a_model_is_downloaded_and_found_afterwards(fetch: Fetch, tmp_path: Path) -> None:
    code, out, _ = fetch("some/model")
    folder = Path(out.rstrip("\n"))
    assert code == 0 and folder.name == COMMIT
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert find_checkpoint("some/model") == folder


def test_florence2_is_downloaded_whole_and_loads_by_its_name(
    fetch: Fetch, hub: Hub, tmp_path: Path
) -> None:
    """The files of a small checkpoint in the published layout, and a card and images that are not asked for."""
    write_florence2(tmp_path / "florence2", small_florence2_config(), 64, words=("mug",))
    files = {path.name: path.read_bytes() for path in (tmp_path / "florence2").iterdir()}
    served = {**files, "README.md": b"a card", "car.jpg": b"an image", "model.onnx": b"no"}
    REPOSITORIES["florence-community/Florence-2-base-ft"] = Repository({"main": served})
    try:
        code, out, errors = fetch("florence-community/Florence-2-base-ft")
    finally:
        del REPOSITORIES["florence-community/Florence-2-base-ft"]
    assert code == 0, errors
    folder = Path(out.rstrip("\n"))
    assert {path.name for path in folder.iterdir()} == {*files}
    write_sam2(tmp_path / "sam2", small_sam2_config())
    model = f"florence-community/Florence-2-base-ft + {tmp_path / 'sam2'}"
    segmenter = load_segmenter(model, LoadOptions("cpu"))
    vocabulary = Vocabulary().changed_to([TargetClass("the mug left of the mug")])
    batch = Batch((np.zeros((40, 50, 3), np.uint8),), vocabulary.thresholds(0.0))
    [result] = segmenter.segment(batch, segmenter.encode(vocabulary))
    assert result.label.shape == (40, 50)
    assert "cannot" in segmenter.caution


def test_both_models_of_a_pair_are_downloaded_in_their_revisions(fetch: Fetch, hub: Hub) -> None:
    code, out, _ = fetch("some/model + some/masks", "--revision", "v2 + main")
    assert code == 0 and len(out.splitlines()) == 2
    assert find_checkpoint("some/model", "v2") and find_checkpoint("some/masks")


def test_nothing_of_a_pair_is_downloaded_where_one_cannot_be(fetch: Fetch, hub: Hub) -> None:
    code, out, err = fetch("some/model+some/pickles")
    assert (code, out) == (2, "") and "some/pickles has no weights as safetensors" in err
    assert files_asked_for(hub) == []


REFUSALS = {
    "unknown": (("some/modle",), "has no model some/modle, or it is private: check the spelling"),
    "revision": (("some/model", "--revision", "v9"), "some/model has no revision 'v9'"),
    "pickles": (
        ("some/pickles",),
        "hf download some/pickles --local-dir FOLDER, and convert them with: zs-seg convert",
    ),
    "no transformers": (
        ("some/other",),
        "some/other is no checkpoint of transformers: it has no config.json",
    ),
    "three": (("a/b + c/d + e/f",), "is not one detector and one mask model"),
    "one revision of two": (("a/b + c/d", "--revision", "v2"), "does not say which of two"),
    "second of two": (("some/model + some/modle",), "has no model some/modle, or it is private"),
    "second of two gated": (("some/model + some/gated",), "some/gated is given on request only"),
    "address": (("https://huggingface.co/some/model",), "is no Hugging Face id; give one such as"),
    "no name": (("clipseg",), "'clipseg' is no Hugging Face id"),
}


@pytest.mark.parametrize(("arguments", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_fetched_is_refused_before_a_file_is_asked_for(
    arguments: tuple[str, ...], reason: str, fetch: Fetch, hub: Hub
) -> None:
    code, out, err = fetch(*arguments)
    assert (code, out) == (2, "") and len(err.splitlines()) == 1
    assert reason in err
    assert files_asked_for(hub) == []


@pytest.mark.parametrize("model", ["some/gated", "some/forbidden"])
def test_a_gated_model_says_how_to_get_it(model: str, fetch: Fetch) -> None:
    code, _, err = fetch(model)
    assert code == 2
    for part in (f"ask for access on https://huggingface.co/{model}", "hf auth login", "HF_TOKEN"):
        assert part in err


def test_a_proposal_with_safetensors_is_named_and_can_be_fetched(fetch: Fetch, hub: Hub) -> None:
    code, _, err = fetch("some/proposed")
    assert code == 2 and "zs-seg fetch some/proposed --revision refs/pr/2" in err
    assert files_asked_for(hub) == []
    code, out, _ = fetch("some/proposed", "--revision", "refs/pr/2")
    assert code == 0 and (Path(out.rstrip("\n")) / "model.safetensors").is_file()


@pytest.mark.parametrize("installed", [False, True])
def test_packages_that_a_tokenizer_needs_are_named_before_the_download(
    installed: bool, fetch: Fetch, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = "zs_seg_ros.segmenters.shared.tokenizer_readers._can_import"
    monkeypatch.setattr(readers, lambda module: installed)
    code, _, err = fetch("some/pieces")
    assert code == (0 if installed else 2)
    assert ("pip install sentencepiece protobuf" in err) != installed
    assert bool(files_asked_for(hub)) == installed


def test_offline_a_fetch_says_why_and_a_complete_download_is_used(
    fetch: Fetch, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder, _ = fetch("some/model")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert fetch("some/model")[:2] == (0, folder)
    code, _, err = fetch("some/masks")
    assert code == 2 and "HF_HUB_OFFLINE is set" in err


def test_a_hub_that_is_not_there_is_one_sentence(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    code, _, err = fetch("some/model")
    assert code == 2 and len(err.splitlines()) == 1
    assert "some/model could not be downloaded" in err and "try again" in err


def test_a_cache_that_cannot_be_written_is_named(
    fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    cache = tmp_path / "file" / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    code, out, err = fetch("some/model")
    assert (code, out) == (2, "")
    assert f"could not be written into {cache} (Not a directory)" in err and "HF_HOME" in err


def test_a_full_disk_is_named_and_the_next_fetch_succeeds(fetch: Fetch) -> None:
    """A limit for the size of files stands for the full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
    try:
        code, out, err = fetch("some/large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (code, out) == (2, "")
    assert "some/large could not be written into" in err and "make room there" in err
    code, out, _ = fetch("some/large")
    assert code == 0 and (Path(out.rstrip("\n")) / "model.safetensors").stat().st_size == 10_000


# -- convert -----------------------------------------------------------------------------------------------

WEIGHT = torch.arange(6.0).reshape(2, 3)


def test_pickled_weights_are_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text("{}")
    shared = {"a": WEIGHT, "b": WEIGHT, "c": WEIGHT.T, "n": torch.tensor([3])}
    torch.save(shared, tmp_path / "pytorch_model.bin")
    assert main(["convert", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'model.safetensors'}\n"
    converted = load_file(tmp_path / "model.safetensors")
    assert converted.keys() == shared.keys()
    assert all(torch.equal(converted[name], shared[name]) for name in shared)
    assert main(["convert", str(tmp_path)]) == 2
    assert "has weights as safetensors already" in capsys.readouterr().err


def test_parts_are_converted_with_their_index(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    for number, name in enumerate("ab", start=1):
        torch.save({name: WEIGHT + number}, tmp_path / f"pytorch_model-0000{number}-of-00002.bin")
    paths = convert_weights(tmp_path)
    names = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    assert [path.name for path in paths] == names
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["weight_map"] == dict(zip("ab", names, strict=True))
    assert torch.equal(load_file(paths[1])["b"], WEIGHT + 2)


class _Calls:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_a_pickle_that_would_run_code_is_refused_without_running_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    called = tmp_path / "called"
    torch.save({"a": _Calls(called)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="holds something else than weights, or is damaged"):
        convert_weights(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(_Calls(called)))
    with pytest.raises(ModelError, match="holds something else than weights, or is damaged"):
        convert_weights(tmp_path)
    assert not called.exists() and not list(tmp_path.glob("*.safetensors*"))


@pytest.mark.parametrize(
    "content", [[WEIGHT], {"a": 3}, {1: WEIGHT}], ids=["list", "number", "key"]
)
def test_content_that_is_no_table_of_weights_is_refused(content: object, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="not a table of named weights"):
        convert_weights(tmp_path)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no config\.json"):
        convert_weights(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"has no pytorch_model\.bin"):
        convert_weights(tmp_path)
