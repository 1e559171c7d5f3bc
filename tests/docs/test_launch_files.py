# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The launch files' arguments, and the nodes that they start. launch itself is not among the wheels on PyPI."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from ament_index_python.packages import get_package_share_directory
from launch_stand_ins import Context, Recorded, arguments_of, entities_of, started_by

ROOT = Path(__file__).parents[2]
SHARE = Path(get_package_share_directory("zs_seg_ros"))
FILES = sorted((SHARE / "launch").glob("*.launch.py"))
SEGMENTATION = SHARE / "launch" / "segmentation.launch.py"
REPLAY = SHARE / "launch" / "replay.launch.py"


def node_of(actions: list[Recorded], package: str = "zs_seg_ros") -> Recorded:
    [node] = [a for a in actions if a.kind == "Node" and a.kwargs["package"] == package]
    return node


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_argument_says_what_it_is(file: Path) -> None:
    arguments = arguments_of(file)
    assert "rviz" in arguments
    for name, argument in arguments.items():
        assert len(argument.kwargs["description"]) > 15, name
        assert "default_value" in argument.kwargs, f"{name} would have to be given"


def test_files_that_arguments_name_by_default_are_installed() -> None:
    for name in ("params_file", "fastdds_profile", "rviz_config"):
        default = Path(arguments_of(SEGMENTATION)[name].kwargs["default_value"])
        assert default.is_file() and default.is_relative_to(SHARE)


def test_without_arguments_the_node_gets_the_default_parameter_file_alone() -> None:
    assert node_of(started_by(SEGMENTATION)).kwargs["parameters"] == [
        str(SHARE / "config/segmentation.yaml"),
        {},
    ]


def test_arguments_override_the_preset_and_that_overrides_the_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.touch()
    given = {"params_file": str(mine), "preset": "driving", "classes": "[a, b]"}
    first, second, last = node_of(started_by(SEGMENTATION, **given)).kwargs["parameters"]
    assert (first, second) == (str(mine), str(SHARE / "config/presets/driving.yaml"))
    assert list(last) == ["classes"]
    assert last["classes"].kwargs["value_type"] == list[str]


def parameters_given(**arguments: str) -> dict[str, object]:
    """What the arguments set beside the files; of what launch evaluates, the argument's name or the text."""
    last = node_of(started_by(SEGMENTATION, **arguments)).kwargs["parameters"][-1]
    return {k: text_of(v.args[0]) if isinstance(v, Recorded) else v for k, v in last.items()}


def text_of(substitution: Recorded) -> str:
    return str(substitution.kwargs.get("text") or substitution.args[0])


def test_the_topics_of_one_camera_are_its_parameters() -> None:
    assert parameters_given(image_topic="/image_raw") == {"camera.image_topic": "image_topic"}
    names = {"image_topic": "/a/image", "depth_topic": "/a/depth", "info_topic": "/a/info"}
    given = parameters_given(cameras="[arm/wrist]", **names)
    assert given.pop("cameras") == '["arm/wrist"]'
    assert given.pop("arm/wrist.depth") is True
    assert given == {f"arm/wrist.{name}": name for name in names}


@pytest.mark.parametrize("cameras", ["[front, rear]", "front, rear", "[]"])
def test_the_topics_of_one_camera_are_refused_for_several(cameras: str) -> None:
    with pytest.raises(RuntimeError, match="image_topic, depth_topic, info_topic are for one"):
        parameters_given(cameras=cameras, info_topic="/info")


def test_the_topics_of_one_camera_need_its_name_beside_a_file_of_the_users(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.touch()
    with pytest.raises(RuntimeError, match=r'name it with cameras:="\[NAME\]"'):
        parameters_given(params_file=str(mine), image_topic="/image_raw")
    given = parameters_given(params_file=str(mine), image_topic="/image_raw", cameras="[a]")
    assert given["a.image_topic"] == "image_topic"


def test_the_demo_forwards_params_file() -> None:
    demo = SHARE / "launch" / "demo.launch.py"
    declared = [e for e in entities_of(demo) if e.kind == "DeclareLaunchArgument"]
    own = next(e for e in declared if e.name == "params_file")  # the included file's comes later
    assert own.kwargs["default_value"] == str(SHARE / "config" / "demo.yaml")
    [included] = [e for e in entities_of(demo) if e.kind == "IncludeLaunchDescription"]
    forwarded = dict(included.kwargs["launch_arguments"])["params_file"]
    assert (forwarded.kind, forwarded.args) == ("LaunchConfiguration", ("params_file",))


def test_each_preset_can_be_chosen() -> None:
    presets = {file.stem for file in (ROOT / "config/presets").iterdir()}
    assert set(arguments_of(SEGMENTATION)["preset"].kwargs["choices"]) == {"", *presets}


def test_the_profile_for_large_images_can_be_left_out_or_be_another_file(tmp_path: Path) -> None:
    def profiles(**given: str) -> set[str]:
        actions = started_by(SEGMENTATION, **given)
        return {a.args[1] for a in actions if a.kind == "SetEnvironmentVariable"}

    assert profiles() == {str(SHARE / "config/fastdds_large_images.xml")}
    assert profiles(fastdds_profile="") == set()
    assert profiles(fastdds_profile="none") == set()
    other = tmp_path / "other.xml"
    other.write_text("<profiles/>")
    assert profiles(fastdds_profile=str(other)) == {str(other)}


@pytest.mark.parametrize("name", ["params_file", "fastdds_profile"])
def test_a_file_that_is_not_there_ends_the_launch(name: str) -> None:
    with pytest.raises(RuntimeError, match=rf"{name} is '/nowhere', and there is no such file"):
        started_by(SEGMENTATION, **{name: "/nowhere"})


def test_rviz_is_started_on_request() -> None:
    rviz = node_of(started_by(SEGMENTATION, rviz="true"), "rviz2")
    assert rviz.kwargs["arguments"][1].args[0] == "rviz_config"


def test_the_studio_of_the_node_is_started_on_request() -> None:
    actions = [
        a for a in started_by(SEGMENTATION, studio="true", namespace="robot1") if a.kind == "Node"
    ]
    [studio] = [a for a in actions if a.kwargs["executable"] == "studio"]
    assert studio.kwargs["arguments"] == ["--node", "/robot1/zs_seg"]
    executables = [a.kwargs["executable"] for a in started_by(SEGMENTATION) if a.kind == "Node"]
    assert executables == ["segmentation_node"]


@pytest.mark.parametrize("text", ["true", "True", "TRUE", "1", "yes", "on"])
def test_booleans_are_read_in_any_case(text: str) -> None:
    actions = [*started_by(SEGMENTATION, studio=text), *started_by(REPLAY, loop=text)]
    executables = [a.kwargs["executable"] for a in actions if a.kind == "Node"]
    assert "studio" in executables
    [player] = [a for a in actions if a.kwargs.get("executable") == "bag_player"]
    assert player.kwargs["arguments"].count("--loop") == 1


@pytest.mark.parametrize("text", ["False", "0", "no", "off"])
def test_what_is_false_starts_nothing(text: str) -> None:
    actions = [*started_by(SEGMENTATION, studio=text), *started_by(REPLAY, loop=text)]
    assert all(a.kwargs.get("executable") != "studio" for a in actions)
    assert all("--loop" not in a.kwargs.get("arguments", []) for a in actions)


def test_what_is_neither_true_nor_false_ends_the_launch() -> None:
    for name in ("studio", "rviz", "autostart", "use_sim_time"):
        with pytest.raises(RuntimeError, match=f"{name} is 'maybe': write true or false"):
            started_by(SEGMENTATION, **{name: "maybe"})
    with pytest.raises(RuntimeError, match="loop is 'twice': write true or false"):
        started_by(REPLAY, loop="twice")


@pytest.mark.parametrize(
    ("text", "expected"), [("true", True), ("1", True), ("Yes", True), ("off", False), ("0", False)]
)
def test_boolean_parameters_are_set_as_such(text: str, expected: bool) -> None:
    given = parameters_given(autostart=text, use_sim_time=text)
    assert given == {"autostart": expected, "use_sim_time": expected}


def test_a_wrong_loop_ends_the_launch_before_a_node_is_started_that_would_stay() -> None:
    functions = [e.kwargs["function"] for e in entities_of(REPLAY) if e.kind == "OpaqueFunction"]
    with pytest.raises(RuntimeError, match="loop is 'twice'"):
        functions[0](Context(loop="twice"))


def test_a_profile_that_is_no_xml_ends_the_launch(tmp_path: Path) -> None:
    profile = tmp_path / "profile.xml"
    for content in (b"", b"profiles: yes", b"<profiles>", b"\xff\xfe\x00"):
        profile.write_bytes(content)
        with pytest.raises(RuntimeError, match="which is no XML file"):
            started_by(SEGMENTATION, fastdds_profile=str(profile))


@pytest.mark.parametrize("given", ["front", "[front]", " [front]", "front, rear"])
def test_a_list_may_be_given_without_brackets(given: str) -> None:
    *_, last = node_of(started_by(SEGMENTATION, cameras=given)).kwargs["parameters"]
    names = yaml.safe_load(text_of(last["cameras"].args[0]))
    assert names == [name.strip() for name in given.strip(" []").split(",")]


def test_names_that_yaml_takes_for_other_types_stay_names() -> None:
    given = """[red mug, "dog's ball", 'a "b" c', no, 12, 1.5, ~, grün]"""
    *_, last = node_of(started_by(SEGMENTATION, classes=given)).kwargs["parameters"]
    names = yaml.safe_load(text_of(last["classes"].args[0]))
    assert names == ["red mug", "dog's ball", 'a "b" c', "no", "12", "1.5", "~", "grün"]


@pytest.mark.parametrize("text", ['[red mug, "duck]', "[a: b]", "[[a]]", "[a", "a, [b]"])
def test_what_is_no_list_of_names_ends_the_launch(text: str) -> None:
    with pytest.raises(RuntimeError, match=r"classes is .*, which is no list of names: write"):
        started_by(SEGMENTATION, classes=text)


def test_a_misspelt_argument_is_reported_with_the_one_that_is_meant() -> None:
    actions = started_by(SEGMENTATION, clases="[red mug]", recording="/data", unrelated="x")
    [warning] = [a.kwargs["msg"] for a in actions if a.kind == "LogInfo"]
    assert "'clases' has no effect; classes may be meant" in warning


@pytest.mark.parametrize("file", ["segmentation.launch.py", "demo.launch.py"])
def test_every_argument_without_effect_is_reported_where_no_other_file_has_it(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["ros2", "launch", "zs_seg_ros", file])
    actions = started_by(SEGMENTATION, default_threshold="0.3", clases="[a]")
    warnings = [a.kwargs["msg"] for a in actions if a.kind == "LogInfo"]
    assert len(warnings) == 2
    assert "'default_threshold' has no effect; --show-args lists" in warnings[0]
    assert "'clases' has no effect; classes may be meant" in warnings[1]


def test_topics_and_services_can_be_remapped() -> None:
    def remappings(text: str) -> object:
        return node_of(started_by(SEGMENTATION, remap=text)).kwargs["remappings"]

    assert remappings("") == []
    assert remappings("/zs_seg/camera/label:=/labels") == [("/zs_seg/camera/label", "/labels")]
    assert remappings("[~/vocabulary:=/words, tf := /robot/tf]") == [
        ("~/vocabulary", "/words"),
        ("tf", "/robot/tf"),
    ]


@pytest.mark.parametrize("text", ["/labels", "a:=", ":=b", "a=b", "a:=b,c"])
def test_a_remapping_of_another_form_ends_the_launch(text: str) -> None:
    with pytest.raises(RuntimeError, match="write FROM:=TO, several with commas"):
        started_by(SEGMENTATION, remap=text)


def test_a_player_that_fails_ends_the_launch_and_one_that_is_done_does_not() -> None:
    player = next(
        a
        for a in started_by(SHARE / "launch" / "replay.launch.py")
        if a.kind == "Node" and a.kwargs["executable"] == "bag_player"
    )
    ended = player.kwargs["on_exit"]
    assert ended(SimpleNamespace(returncode=0), Context()) == []
    [shutdown] = ended(SimpleNamespace(returncode=-9), Context())
    assert shutdown.kind == "Shutdown" and "-9" in shutdown.kwargs["reason"]


@pytest.mark.parametrize("clock", ["", "none"])
def test_the_clock_can_be_left_out(clock: str) -> None:
    actions = started_by(SHARE / "launch" / "replay.launch.py", clock=clock)
    assert all("--clock" not in a.kwargs.get("arguments", []) for a in actions)


def test_hostile_text_in_launch_arguments_is_escaped_and_shortened() -> None:
    hostile = "/nowhere\x1b[31m\n[ERROR] forged" + "x" * 10_000
    for name in ("params_file", "fastdds_profile"):
        with pytest.raises(RuntimeError) as raised:
            started_by(SEGMENTATION, **{name: hostile})
        assert str(raised.value).startswith(f"{name} is '/nowhere\\x1b[31m\\n[ERROR] forgedxxx")
        assert str(raised.value).isprintable() and len(str(raised.value)) < 500
    actions = started_by(SEGMENTATION, **{"cameras\x1b\n": "[front]"})
    [warning] = [a.kwargs["msg"] for a in actions if a.kind == "LogInfo"]
    assert "'cameras\\x1b\\n' has no effect; cameras may be meant" in warning
