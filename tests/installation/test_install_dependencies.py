# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The command that installs on a robot: an externally managed Python, and a folder of wheels in place of an index."""

from __future__ import annotations

import ast
import fcntl
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "executables"))

import zs_seg_environment  # noqa: E402
from zs_seg_installation import Installation, InstallationError  # noqa: E402

INSTALL = ROOT / "executables" / "install_dependencies"
RUNTIME = (ROOT / "requirements" / "runtime.txt").read_text()
PINS = [line.partition(";")[0].strip() for line in RUNTIME.splitlines() if "==" in line]
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
EXTERNALLY_MANAGED = "[externally-managed]\nError=use apt\n"


def write_wheel(
    folder: Path, name: str, version: str, modules: dict[str, str], requires: str = ""
) -> None:
    """Write a wheel of modules into the folder. requires: a package that it needs."""
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    files = {
        **modules,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        for file, text in (files | {f"{info}/RECORD": record}).items():
            wheel.writestr(file, text)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for name, _, version in (pin.partition("==") for pin in PINS):
        module = {"opencv-python-headless": "cv2", "pillow": "PIL"}.get(name, name)
        write_wheel(folder, name, version, {f"{module}.py": f"__version__ = '{version}'\n"})
    return folder


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Python of its own folder, as Debian's: externally managed, with numpy 1.26.0 and OpenCV 4.6.0."""
    prefix = tmp_path_factory.mktemp("system")
    library = prefix / "lib" / VERSION
    packages = library / "site-packages"
    packages.mkdir(parents=True)
    standard = Path(sysconfig.get_path("stdlib"))
    for path in standard.iterdir():
        if path.name not in ("site-packages", "EXTERNALLY-MANAGED"):
            (library / path.name).symlink_to(path)
    (library / "EXTERNALLY-MANAGED").write_text(EXTERNALLY_MANAGED)
    for module, version in (("numpy", "1.26.0"), ("cv2", "4.6.0")):
        (packages / f"{module}.py").write_text(f"__version__ = '{version}'\n")
        info = packages / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {module}\nVersion: {version}\n"
        )
    (prefix / "bin").mkdir()
    python = prefix / "bin" / VERSION
    shutil.copy(Path(sys.executable).resolve(), python)
    for file in Path(sys.base_prefix, "lib").glob("libpython*"):
        (prefix / "lib" / file.name).symlink_to(file)
    return python


class Robot:
    """A home folder with the system's Python, and executables as `ros2 run` starts them."""

    def __init__(self, home: Path, python: Path, wheels: Path) -> None:
        self.home, self.python = home, python
        self.environment = home / ".local/share/zs_seg_ros" / VERSION
        self.variables = {
            "HOME": str(home),
            "PATH": os.defpath,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(wheels),
            "PIP_CONFIG_FILE": os.devnull,
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.python), str(file), *arguments]
        return subprocess.run(
            command, env=self.variables, cwd=self.home, capture_output=True, text=True, check=False
        )

    def write_executable(self) -> Path:
        """Write one that starts as the package's own do, and prints where its packages are from."""
        file = self.home / "show"
        file.write_text(
            f"import sys\nsys.path.insert(0, {str(INSTALL.parent)!r})\n"
            "from zs_seg_environment import enter_environment\nenter_environment()\n"
            "import torch, numpy, cv2\n"
            "print(sys.prefix, torch.__version__, numpy.__version__, cv2.__version__, sys.argv[1:])\n"
        )
        return file


@pytest.fixture
def robot(tmp_path: Path, python: Path, wheels: Path) -> Robot:
    return Robot(tmp_path, python, wheels)


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_the_executables_use_what_the_command_installed_until_it_is_removed(robot: Robot) -> None:
    show = robot.write_executable()
    missing = robot.run(show)
    assert missing.returncode == 1 and "Traceback" not in missing.stderr
    assert missing.stderr == (
        "The Python package of the module torch is not installed: "
        "run `ros2 run zs_seg_ros install_dependencies`.\n"
    )
    before = files_of(robot.home)
    system = files_of(robot.python.parents[1])

    made = robot.run(INSTALL)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "Keeping the system's numpy 1.26.0." in made.stdout
    assert re.search(r"Downloading \d+ packages, \d+\.\d MB in all\.", made.stdout)
    shown = robot.run(show, "--a", "b c")
    versions = dict(pin.split("==") for pin in PINS)
    opencv = versions["opencv-python-headless"]
    assert shown.stdout == (
        f"{robot.environment} {versions['torch']} 1.26.0 {opencv} ['--a', 'b c']\n"
    ), shown.stderr
    assert "is up to date" in robot.run(INSTALL).stdout

    assert files_of(robot.python.parents[1]) == system
    assert robot.run(INSTALL, "--remove").returncode == 0
    assert [f for f in files_of(robot.home) if f not in before] == [".local", ".local/share"]
    assert "is not installed" in robot.run(show).stderr


def test_torch_for_cpus_is_taken_where_it_is_offered(
    robot: Robot, wheels: Path, tmp_path: Path
) -> None:
    own = tmp_path / "with_cpu_build"
    shutil.copytree(wheels, own)
    [torch] = [pin.partition("==")[2] for pin in PINS if pin.startswith("torch==")]
    write_wheel(own, "torch", f"{torch}+cpu", {"torch.py": f"__version__ = '{torch}+cpu'\n"})
    robot.variables["PIP_FIND_LINKS"] = str(own)
    made = robot.run(INSTALL)
    assert made.returncode == 0, made.stdout + made.stderr
    assert f" {torch}+cpu 1.26.0 " in robot.run(robot.write_executable()).stdout
    for_gpus = robot.run(INSTALL, "--gpu")
    assert for_gpus.returncode == 0, for_gpus.stdout + for_gpus.stderr
    assert f" {torch} 1.26.0 " in robot.run(robot.write_executable()).stdout


def test_optional_packages_are_added_and_stay_when_the_environment_is_made_again(
    robot: Robot, wheels: Path, tmp_path: Path
) -> None:
    own = tmp_path / "with_optional"
    shutil.copytree(wheels, own)
    write_wheel(own, "av", "17.1.0", {"av.py": ""})
    write_wheel(own, "timm", "1.0.0", {"timm.py": ""}, requires="torchvision")
    robot.variables["PIP_FIND_LINKS"] = str(own)
    added = robot.run(INSTALL, "--also", "timm", "av")
    assert added.returncode == 0, added.stdout + added.stderr
    packages = robot.environment / "lib" / VERSION / "site-packages"
    assert (packages / "av.py").is_file() and (packages / "timm.py").is_file()
    assert robot.run(INSTALL, "--torch-index", str(own)).returncode == 0  # another environment
    assert (packages / "av.py").is_file() and (packages / "timm.py").is_file()
    refused = robot.run(INSTALL, "--torch-index", str(own), "--also", "nothing-like-this")
    assert refused.returncode == 2 and "could not install av nothing-like-this" in refused.stderr


def test_a_virtual_environment_of_something_else_that_is_active_is_left(robot: Robot) -> None:
    other = robot.home / "other"
    subprocess.run([robot.python, "-m", "venv", "--without-pip", other], check=True)
    (other / "lib" / VERSION / "site-packages" / "torch.py").write_text("__version__ = '1.0'\n")
    robot.python = other / "bin" / "python"  # what `env python3` starts while it is active
    assert robot.run(INSTALL).returncode == 0
    assert robot.run(robot.write_executable()).stdout.startswith(f"{robot.environment} ")


def test_a_python_of_another_version_that_is_active_is_left(robot: Robot) -> None:
    assert robot.run(INSTALL).returncode == 0
    for_another = robot.environment.rename(robot.environment.with_name("python3.99"))
    packages = robot.home / "install/lib/python3.99/site-packages"
    (packages / "zs_seg_ros").mkdir(parents=True)
    robot.variables["PYTHONPATH"] = str(packages)  # as sourced: the package was built for 3.99
    assert robot.run(robot.write_executable()).stdout.startswith(f"{for_another} ")
    refused = robot.run(INSTALL)
    assert refused.returncode == 2
    assert "zs_seg_ros was built for python3.99, which is not on the PATH" in refused.stderr
    assert robot.run(INSTALL, "--remove").returncode == 0 and not for_another.exists()


@pytest.mark.parametrize("arguments", [(), ("--also", "av"), ("--remove",)])
def test_a_second_command_at_the_same_time_is_refused(
    robot: Robot, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    robot.environment.mkdir(parents=True)
    second: list[subprocess.CompletedProcess[str]] = []
    with monkeypatch.context() as patched:
        patched.setattr(
            Installation, "_make", lambda _: second.append(robot.run(INSTALL, *arguments))
        )
        Installation(robot.environment).make()
    assert second[0].returncode == 2 and robot.environment.is_dir()
    assert second[0].stderr == (
        f"install_dependencies: another install_dependencies is changing {robot.environment}: "
        "wait until it has ended\n"
    )
    assert files_of(robot.environment.parent) == [VERSION]  # no lock is left
    assert robot.run(INSTALL).returncode == 0


def test_a_lock_that_its_last_holder_removed_is_none(
    robot: Robot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third command could hold the new file of that name."""
    lock = robot.environment.with_name(f"{robot.environment.name}.lock")
    flock = fcntl.flock

    def flock_after_its_holder(*arguments: Any) -> None:
        lock.unlink()
        flock(*arguments)

    monkeypatch.setattr(fcntl, "flock", flock_after_its_holder)
    with pytest.raises(InstallationError, match="another install_dependencies is changing"):
        Installation(robot.environment).make()


def test_the_size_alone_leaves_nothing(robot: Robot) -> None:
    before = files_of(robot.home)
    sized = robot.run(INSTALL, "--size")
    assert sized.returncode == 0 and "MB in all" in sized.stdout
    assert "no index that pip knows offers torch for CPUs alone" in sized.stdout
    assert files_of(robot.home) == before


def test_the_size_of_an_update_leaves_the_environment_that_is_in_use(robot: Robot) -> None:
    assert robot.run(INSTALL).returncode == 0
    before = files_of(robot.environment)
    sized = robot.run(INSTALL, "--gpu", "--size")  # another environment than that
    assert sized.returncode == 0 and "MB in all" in sized.stdout
    assert files_of(robot.environment) == before
    assert robot.run(robot.write_executable()).stdout.startswith(f"{robot.environment} ")


def test_a_removal_that_was_interrupted_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = tmp_path / "environment"
    for name in ("bin", "lib", "share"):
        (environment / name).mkdir(parents=True)
    (environment / zs_seg_environment.COMPLETE).touch()
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", interrupt_after_the_first())
        with pytest.raises(KeyboardInterrupt):
            Installation(environment).remove()
    assert environment.is_dir() and not (environment / zs_seg_environment.COMPLETE).exists()
    Installation(environment).remove()
    assert not environment.exists()


def interrupt_after_the_first() -> Callable[[Path], None]:
    """Return a stand-in for shutil.rmtree: ctrl-C arrives in its second call."""
    removed: list[Path] = []
    remove = shutil.rmtree

    def remove_one(path: Path) -> None:
        if removed:
            raise KeyboardInterrupt
        remove(path)
        removed.append(path)

    return remove_one


def test_every_package_that_is_installed_is_named_when_it_is_missing() -> None:
    imported = {
        module.partition(".")[0]
        for file in (ROOT / "zs_seg_ros").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        for module in modules_of(node)
    }
    of_ros = set(re.findall(r"depend>([a-z0-9_]+)</", (ROOT / "package.xml").read_text()))
    optional = {"av", "matplotlib", "onnx", "onnxruntime", "ray", "rosbag2_interfaces"}
    own = {"zs_seg_ros", *sys.stdlib_module_names}
    assert imported - own - of_ros - optional <= set(zs_seg_environment.PACKAGES)


def modules_of(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []


def test_a_folder_of_the_users_is_never_removed(robot: Robot, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes").touch()
    for arguments in (("--remove",), ()):
        refused = robot.run(INSTALL, "--environment", str(mine), *arguments)
        assert refused.returncode == 2 and "was not made by this command" in refused.stderr
    assert files_of(mine) == ["notes"]
    nothing = robot.run(INSTALL, "--remove")
    assert nothing.returncode == 2 and "there is no environment in" in nothing.stderr


def test_an_incomplete_installation_is_not_used_and_the_next_one_replaces_it(
    robot: Robot, wheels: Path, tmp_path: Path
) -> None:
    robot.variables["PIP_FIND_LINKS"] = str(tmp_path / "nowhere")
    failed = robot.run(INSTALL)
    assert failed.returncode == 2 and "pip could not install the packages" in failed.stderr
    assert "is not installed" in robot.run(robot.write_executable()).stderr
    robot.variables["PIP_FIND_LINKS"] = str(wheels)
    assert robot.run(INSTALL).returncode == 0
    assert str(robot.environment) in robot.run(robot.write_executable()).stdout


def test_another_folder_is_found_by_the_variable(robot: Robot, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert robot.run(INSTALL, "--environment", str(other)).returncode == 0
    show = robot.write_executable()
    assert "is not installed" in robot.run(show).stderr
    robot.variables["ZS_SEG_ENVIRONMENT"] = str(other)
    assert robot.run(show).stdout.startswith(f"{other} ")
