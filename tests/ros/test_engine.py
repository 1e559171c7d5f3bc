# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The node's parameters engine, providers and export_folder."""

from __future__ import annotations

from pathlib import Path

from planner import running_node, values

from zs_seg_ros.segmenters.engines.export import export_model
from zs_seg_ros.segmenters.load_options import LoadOptions

TABLETOP = {"model": "tabletop", "device": "cpu", "engine": "onnxruntime"}


def test_a_model_that_was_exported_runs_and_diagnostics_name_the_engine(tmp_path: Path) -> None:
    list(export_model("tabletop", LoadOptions(export_folder=str(tmp_path)), int8=False))
    with running_node(TABLETOP | {"export_folder": str(tmp_path), "classes": ["duck"]}) as planner:
        assert planner.state == "active"
        status = planner.diagnosis("model", lambda status: values(status)["engine"], "an engine")
        assert values(status)["engine"] == "onnxruntime (CPUExecutionProvider)"
        assert values(status)["precision"] == "fp32"


def test_configure_fails_without_an_export_and_names_the_command(tmp_path: Path) -> None:
    requested = TABLETOP | {"export_folder": str(tmp_path)}
    with running_node(requested, state="unconfigured") as planner:
        assert not planner.change_state("configure")
        status = planner.diagnosis_saying("model", f"run: zs-seg export tabletop -o {tmp_path}")
        assert "\n" not in status.message


def test_a_provider_that_is_not_there_fails_configure(tmp_path: Path) -> None:
    requested = TABLETOP | {"providers": ["tensorrt", "cpu"]}
    with running_node(requested, state="unconfigured") as planner:
        assert not planner.change_state("configure")
        planner.diagnosis_saying("model", "no provider 'tensorrt'")
