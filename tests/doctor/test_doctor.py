# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Each check of `zs-seg doctor`: the condition, its status, and the remedy."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from machines import ENVIRONMENT, PROFILE, TEXTS, VERSIONS, endpoint, graph, machine

from zs_seg_ros.cli.doctor import as_table
from zs_seg_ros.cli.main import main
from zs_seg_ros.doctor.check import Check, Status
from zs_seg_ros.doctor.examination import examine
from zs_seg_ros.doctor.graph import Graph
from zs_seg_ros.doctor.machine import (
    Gpu,
    Machine,
    TorchGpus,
    free_bytes,
    onnx_packages,
    onnx_providers,
)
from zs_seg_ros.doctor.network import BUFFER_BYTES
from zs_seg_ros.doctor.onnx_packages import ONNX_PACKAGES
from zs_seg_ros.doctor.software import PACKAGES
from zs_seg_ros.errors import ModelNotFoundError
from zs_seg_ros.kernels import NOT_BUILT, VARIABLE

ROOT = Path(__file__).parents[2]
MODEL = "someone/model"
ORIN = Gpu("Orin", 32_000_000_000, (8, 7), ("sm_80", "sm_90"))


def checks_of(folder: Path, model: str = MODEL, **changes: Any) -> dict[str, Check]:
    """The checks by name. The remedy of each is one sentence, and only what is not OK has one."""
    checks = examine(machine(folder, **changes), model)
    for check in checks:
        assert bool(check.remedy) == (check.status != Status.OK), check
        assert check.text == check.text.strip() and check.text.isprintable()
        assert not check.remedy or re.fullmatch(r"[A-Z].*[^.]\.", check.remedy), check
    return {check.name: check for check in checks}


def problems_of(folder: Path, model: str = MODEL, **changes: Any) -> list[Check]:
    return [c for c in checks_of(folder, model, **changes).values() if c.status != Status.OK]


def test_a_machine_that_has_everything_has_no_remedies(tmp_path: Path) -> None:
    checks = checks_of(tmp_path)
    assert list(checks) == [
        "Python",
        "torch",
        "transformers",
        "numpy",
        "OpenCV",
        "ROS 2",
        "GPU",
        "compiled code",
        "onnxruntime",
        "onnx",
        "DDS",
        "DDS profile",
        "socket buffers",
        "shared memory",
        "ROS graph",
        "folder of models",
        "folder of logs",
        "model tabletop",
        f"model {MODEL}",
        "disk space",
    ]
    assert {check.status for check in checks.values()} == {Status.OK}
    assert checks["DDS"].text == "rmw_fastrtps_cpp"
    assert checks["ROS graph"].text.endswith("/camera/image_raw (reliable, volatile)")


@pytest.mark.parametrize(
    ("reason", "has_ros", "status"),
    [
        (NOT_BUILT, True, Status.WARNING),
        (NOT_BUILT, False, Status.OK),
        ("/a.so cannot be used: wrong ELF class", False, Status.WARNING),
        (f"{VARIABLE} is off", True, Status.WARNING),
    ],
)
def test_a_build_without_compiled_code_is_named(
    tmp_path: Path, reason: str, has_ros: bool, status: Status
) -> None:
    checks = checks_of(tmp_path, why_no_kernels=lambda: reason, has_ros=lambda: has_ros)
    check = checks["compiled code"]
    assert check.status == status
    assert check.text.startswith(f"{reason}; Python computes")


def test_without_the_packages_of_the_other_engine_nothing_is_wrong(tmp_path: Path) -> None:
    checks = checks_of(tmp_path, onnx_packages=dict, onnx_providers=None)
    for name in ("onnxruntime", "onnx"):
        assert checks[name].status == Status.OK
        assert checks[name].text.startswith("not installed; only ")
        assert checks[name].text.endswith("`") and "pip install onnx" in checks[name].text


def test_the_build_of_onnxruntime_and_its_providers_are_listed(tmp_path: Path) -> None:
    packages = {"onnx": "1.19.0", "onnxruntime-gpu": "1.26.0"}
    providers = ["TensorrtExecutionProvider", "CPUExecutionProvider", "OtherExecutionProvider"]
    checks = checks_of(tmp_path, onnx_packages=lambda: packages, onnx_providers=lambda: providers)
    expected = "onnxruntime-gpu 1.26.0 with the providers tensorrt, cpu, OtherExecutionProvider"
    assert checks["onnxruntime"].text == expected
    assert {check.status for check in checks.values()} == {Status.OK}


def _fails_to_load() -> Sequence[str]:
    raise OSError("libcudart.so.12: cannot open shared object file")


@pytest.mark.parametrize(
    ("packages", "changes", "text", "remedy"),
    [
        (
            {"onnxruntime": "1.23.2", "onnxruntime-gpu": "1.22.0"},
            {},
            "onnxruntime 1.23.2 and onnxruntime-gpu 1.22.0 are installed",
            "pip uninstall onnxruntime onnxruntime-gpu",
        ),
        (
            {"onnxruntime-openvino": "1.22.0"},
            {},
            "onnxruntime-openvino 1.22.0 with the providers openvino, cpu; engine onnxruntime needs 1.23 or higher, "
            "below 2",
            "pip install 'onnxruntime-openvino>=1.23,<2'",
        ),
        (
            {"onnxruntime": "1.23.2"},
            {"onnx_providers": _fails_to_load},
            "cannot be imported: OSError: libcudart.so.12",
            "--force-reinstall onnxruntime`",
        ),
        (
            {"onnxruntime": "1.23.2", "onnx": "2.0.0"},
            {},
            "2.0.0; engine onnxruntime needs 1.19 or higher, below 2",
            "pip install 'onnx>=1.19,<2'",
        ),
    ],
)
def test_what_is_wrong_with_the_packages_of_the_other_engine_is_a_warning_with_the_command(
    tmp_path: Path, packages: dict[str, str], changes: dict[str, Any], text: str, remedy: str
) -> None:
    [check] = problems_of(tmp_path, onnx_packages=lambda: packages, **changes)
    assert check.status == Status.WARNING
    assert text in check.text and remedy in check.remedy


def test_the_limits_of_the_packages_of_the_other_engine_are_those_of_the_installation() -> None:
    extra = re.search(r'"onnx": \[(.*)\]', (ROOT / "setup.py").read_text())
    assert extra is not None
    assert set(re.findall('"(.*?)"', extra[1])) == {
        f"{name}>={'.'.join(map(str, lowest))},<{'.'.join(map(str, too_high))}"
        for name, (lowest, too_high) in ONNX_PACKAGES.items()
    }


def test_the_installed_packages_of_the_other_engine_are_read() -> None:
    packages = onnx_packages()
    for name, version in packages.items():
        assert name == "onnx" or name.startswith("onnxruntime")
        assert importlib.metadata.version(name) == version
    if "onnxruntime" in packages:
        assert "CPUExecutionProvider" in onnx_providers()


def test_without_ros_it_says_so_and_checks_the_rest(tmp_path: Path) -> None:
    checks = checks_of(tmp_path, has_ros=lambda: False, environment={}, read_graph=None)
    assert checks["ROS 2"].status == Status.WARNING
    assert "no ROS 2 is sourced" in checks["ROS 2"].text
    assert {"DDS", "DDS profile", "ROS graph"}.isdisjoint(checks)
    assert checks["disk space"].status == Status.OK


def test_ros_that_is_sourced_for_another_python_is_named(tmp_path: Path) -> None:
    [check] = problems_of(tmp_path, has_ros=lambda: False)
    assert "'jazzy' is sourced, and there is no rclpy for Python 3.12" in check.text


@pytest.mark.parametrize(
    ("python", "status"),
    [
        ((3, 9, 1), Status.ERROR),
        ((3, 10, 0), Status.OK),
        ((3, 14, 2), Status.OK),
        ((3, 15, 0), Status.WARNING),
    ],
)
def test_the_version_of_python(tmp_path: Path, python: Any, status: Status) -> None:
    assert checks_of(tmp_path, python=python)["Python"].status == status


@pytest.mark.parametrize(
    ("module", "version", "status"),
    [
        ("torch", "2.3.1+cu121", Status.ERROR),
        ("torch", "2.4.0a0+git1", Status.OK),
        ("transformers", "4.57.0", Status.ERROR),
        ("transformers", "6.0.0", Status.ERROR),
        ("numpy", "1.25.2", Status.ERROR),
        ("numpy", "2.3.5", Status.OK),
        ("cv2", "4.6.0", Status.ERROR),
        ("cv2", "5.0.0", Status.ERROR),
    ],
)
def test_the_versions_of_packages(
    tmp_path: Path, module: str, version: str, status: Status
) -> None:
    versions = VERSIONS | {module: version}
    problems = problems_of(tmp_path, module_version=versions.__getitem__)
    assert [check.status for check in problems] == [status] * bool(status)
    assert all(version in check.text for check in problems)


def test_the_limits_are_those_of_the_installation() -> None:
    required = dict(
        re.findall(r'^ +"([\w-]+)([<>=][^"]*)",$', (ROOT / "setup.py").read_text(), re.MULTILINE)
    )
    for module, lowest, too_high in PACKAGES.values():
        limits = required[{"cv2": "opencv-python-headless"}.get(module, module)]
        upper = f",<{too_high[0]}" if too_high else ""
        assert limits == f">={'.'.join(map(str, lowest))}{upper}"


def test_a_package_that_is_missing_or_broken_is_an_error(tmp_path: Path) -> None:
    def version(module: str) -> str:
        if module == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        if module == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file\x1b[31m")
        return VERSIONS[module]

    torch, opencv = problems_of(tmp_path, module_version=version)
    assert torch.text == "the Python module torch is not installed"
    assert "install_dependencies" in torch.remedy
    assert "libGL.so.1" in opencv.text and "\\x1b" in opencv.text


@pytest.mark.parametrize(
    ("report", "has_files", "status", "text"),
    [
        (TorchGpus("12.6", (ORIN,)), True, Status.OK, "Orin with 32.0 GB; torch's CUDA is 12.6"),
        (TorchGpus(""), False, Status.OK, "there is none"),
        (TorchGpus(""), True, Status.WARNING, "the build for CPUs alone"),
        (TorchGpus("13.0"), True, Status.WARNING, "built with CUDA 13.0, cannot use it"),
        (
            TorchGpus("13.0", (Gpu("Xavier", 1, (7, 2), ("sm_75", "sm_80")),)),
            True,
            Status.ERROR,
            "no kernels for the compute capability 7.2",
        ),
        (TorchGpus("13.0", (Gpu("New", 1, (13, 0), ("compute_120",)),)), True, Status.OK, "New"),
        (TorchGpus("13.0", (Gpu("New", 1, (12, 1), ("sm_120a",)),)), True, Status.OK, "New"),
    ],
)
def test_the_gpu(
    tmp_path: Path, report: TorchGpus, has_files: bool, status: Status, text: str
) -> None:
    gpu = checks_of(tmp_path, torch_gpus=lambda: report, has_gpu_files=lambda: has_files)["GPU"]
    assert gpu.status == status and text in gpu.text


def test_a_distribution_that_is_not_known_is_a_warning(tmp_path: Path) -> None:
    [check] = problems_of(
        tmp_path,
        environment=ENVIRONMENT
        | {"ROS_DISTRO": "muskmelon", "FASTDDS_DEFAULT_PROFILES_FILE": PROFILE},
    )
    assert check.status == Status.WARNING and "'muskmelon'" in check.text


def test_the_profile_of_fast_dds(tmp_path: Path) -> None:
    def profile(**variables: str) -> Check:
        return checks_of(tmp_path, environment={"HOME": "/", **variables})["DDS profile"]

    unset = profile(ROS_DISTRO="jazzy", FASTDDS_DEFAULT_PROFILES_FILE=PROFILE)
    assert unset.status == Status.WARNING
    assert "export FASTRTPS_DEFAULT_PROFILES_FILE=$(ros2 pkg prefix" in unset.remedy
    newer = profile(ROS_DISTRO="kilted", FASTDDS_DEFAULT_PROFILES_FILE=PROFILE)
    assert newer.status == Status.OK
    missing = profile(ROS_DISTRO="jazzy", FASTRTPS_DEFAULT_PROFILES_FILE="/nowhere.xml")
    assert missing.status == Status.ERROR and "No such file" in missing.text


def test_a_profile_that_is_no_xml_is_an_error(tmp_path: Path) -> None:
    texts = TEXTS | {PROFILE: "profiles: yes"}
    [check] = problems_of(tmp_path, read_text=texts.__getitem__)
    assert check.status == Status.ERROR and "which Fast DDS ignores" in check.text


@pytest.mark.parametrize(
    ("middleware", "variables", "status"),
    [
        ("rmw_cyclonedds_cpp", {}, Status.WARNING),
        ("rmw_cyclonedds_cpp", {"CYCLONEDDS_URI": "file:///a.xml"}, Status.OK),
        ("rmw_zenoh_cpp", {}, Status.OK),
        ("rmw_connextdds", {}, Status.OK),
    ],
)
def test_the_profile_of_other_middleware(
    tmp_path: Path, middleware: str, variables: dict[str, str], status: Status
) -> None:
    environment = {"ROS_DISTRO": "jazzy", "RMW_IMPLEMENTATION": middleware, **variables}
    checks = checks_of(
        tmp_path, environment=environment, read_graph=lambda: Graph(endpoints=(endpoint(),))
    )
    assert checks["DDS"].text == middleware and checks["DDS profile"].status == status


def test_small_socket_buffers_are_a_warning_with_the_command(tmp_path: Path) -> None:
    texts = TEXTS | {"/proc/sys/net/core/rmem_max": "212992\n"}
    [check] = problems_of(tmp_path, read_text=texts.__getitem__)
    assert "net.core.rmem_max is 212992, net.core.wmem_max is 8388608" in check.text
    assert "sudo sysctl -w net.core.rmem_max=4194304`" in check.remedy
    assert f"<receiveBufferSize>{BUFFER_BYTES}<" in (
        ROOT / "config" / "fastdds_large_images.xml"
    ).read_text(encoding="utf-8")


def test_buffers_that_cannot_be_read_are_no_problem(tmp_path: Path) -> None:
    def unreadable(path: str) -> str:
        raise PermissionError(13, "Permission denied")

    buffers = checks_of(tmp_path, read_text=unreadable)["socket buffers"]
    assert buffers.status == Status.OK and "not known" in buffers.text


def test_a_graph_without_images_is_a_warning(tmp_path: Path) -> None:
    clock = endpoint("/clock", type="rosgraph_msgs/msg/Clock")
    [check] = problems_of(tmp_path, read_graph=lambda: graph(clock))
    assert "no images are published in the ROS domain 0" in check.text


@pytest.mark.parametrize(
    ("offered", "requested", "remedy"),
    [
        ({"reliable": False}, {}, "reliability of '/viewer' to best effort"),
        ({}, {"latched": True}, "durability of '/viewer' to volatile"),
        ({"reliable": False}, {"reliable": False}, ""),
        ({"latched": True}, {}, ""),
    ],
)
def test_qos_that_does_not_match_is_a_warning(
    tmp_path: Path, offered: dict[str, bool], requested: dict[str, bool], remedy: str
) -> None:
    both = graph(endpoint(**offered), endpoint(node="/viewer", publishes=False, **requested))
    problems = problems_of(tmp_path, read_graph=lambda: both)
    assert [check.name for check in problems] == ["/camera/image_raw"] * bool(remedy)
    assert all(remedy in check.remedy and "'/driver'" in check.text for check in problems)


def test_two_types_of_one_topic_are_a_warning(tmp_path: Path) -> None:
    other = endpoint(type="sensor_msgs/msg/CompressedImage", publishes=False, node="/viewer")
    [check] = problems_of(tmp_path, read_graph=lambda: graph(endpoint(), other))
    assert "sensor_msgs/msg/CompressedImage and sensor_msgs/msg/Image" in check.text


def test_many_mismatches_are_counted(tmp_path: Path) -> None:
    endpoints = []
    for number in range(15):
        topic = f"/t{number:02}"
        endpoints += [
            endpoint(topic, reliable=False),
            endpoint(topic, publishes=False, node="/viewer"),
        ]
    checks = examine(machine(tmp_path, read_graph=lambda: graph(*endpoints)), MODEL)
    problems = [check for check in checks if check.status != Status.OK]
    assert len(problems) == 11 and problems[-1].text == "5 more topics do not match"


def test_a_graph_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    [check] = problems_of(tmp_path, read_graph=lambda: Graph("it cannot be read: no librcl.so"))
    assert check.status == Status.ERROR and "no librcl.so" in check.text


def test_a_model_that_is_not_on_the_disk_is_an_error_with_the_command(tmp_path: Path) -> None:
    def find(model: str, revision: str) -> Path:
        if model in ("someone/model", "a/detector"):
            raise ModelNotFoundError(f"the model {model} is not on this disk")
        return tmp_path

    [check] = problems_of(tmp_path, find_model=find)
    assert check.status == Status.ERROR and "`zs-seg fetch someone/model`" in check.remedy
    pair = checks_of(tmp_path, "a/detector + b/masks", find_model=find)
    assert pair["model a/detector"].status == Status.ERROR
    assert pair["model b/masks"].status == Status.OK
    assert not problems_of(tmp_path, "tabletop", find_model=find)
    [malformed] = problems_of(tmp_path, "a/b +", find_model=find)
    assert malformed.status == Status.ERROR and malformed.name == "model"


def test_the_size_of_a_model_is_that_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"0" * 2_500_000)
    assert checks_of(tmp_path)[f"model {MODEL}"].text.endswith(", 2.5 MB")


@pytest.mark.parametrize(
    ("free", "status"),
    [(10**8, Status.ERROR), (2 * 10**9, Status.WARNING), (6 * 10**9, Status.OK)],
)
def test_the_space_is_that_of_the_disk_of_the_models(
    tmp_path: Path, free: int, status: Status
) -> None:
    folders = []

    def space(folder: Path) -> int:
        folders.append(str(folder))
        return free

    for variables in ({}, {"XDG_CACHE_HOME": "/x"}, {"HF_HOME": "/y"}, {"HF_HUB_CACHE": "/z"}):
        environment = ENVIRONMENT | variables
        checks = checks_of(tmp_path, environment=environment, free_bytes=space)
        assert checks["disk space"].status == status
    assert folders == ["/home/robot/.cache/huggingface", "/x/huggingface", "/y", "/z"]
    assert free_bytes(tmp_path / "not" / "there") > 0


def test_the_table_has_a_line_per_check_and_per_remedy() -> None:
    checks = [
        Check("a", Status.OK, "fine"),
        Check("longer", Status.WARNING, "low", "Raise it."),
    ]
    assert as_table(checks).splitlines() == [
        "OK       a       fine",
        "WARNING  longer  low",
        "                 → Raise it.",
        "0 errors, 1 warnings",
    ]


def test_the_command_examines_this_machine(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zs_seg_ros.cli.doctor.Machine", lambda: Machine(has_ros=lambda: False))
    assert main(["doctor", "--model", "tabletop", "--json"]) == 0
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert checks["numpy"] == {
        "name": "numpy",
        "status": "OK",
        "text": __import__("numpy").__version__,
        "remedy": "",
    }
    assert checks["model tabletop"]["status"] == "OK"
    assert main(["doctor", "--model", "no/such-model-here"]) == 1
    assert "zs-seg fetch no/such-model-here" in capsys.readouterr().out
