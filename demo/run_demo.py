# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Runs the package as two processes that communicate over DDS: `make demo`.

Starts the simulated camera and the node, sets a vocabulary with a service call, changes it while frames are processed,
compares every frame with the recording's ground truth, and writes a strip of overlays, a video, an animation and the
figures. Then it films a slow model beside the same with propagation. Exit code 0 on success, 1 with one sentence on
failure.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from images import Captions, OverlayFrame, write_animation, write_strip, write_video
from processes import DemoError, RosProcesses
from report import Findings, table, write_results
from robot import Received, Robot
from scoring import check_ids, check_overlap, prompt_scores, sort_by_vocabulary, timing
from session import FIRST_VOCABULARY, SECOND_VOCABULARY, Session, run_session
from slow_model import record, write_film
from studio_demo import serve_studio

from zs_seg_ros.bags.bag import Bag, ground_truth_labels, shipped_bag
from zs_seg_ros.errors import ZeroShotSegmentationError
from zs_seg_ros.ros.own_domain import use_own_domain

ROOT = Path(__file__).resolve().parents[1]


def prepare_environment(log_folder: Path) -> None:
    """Set a DDS domain for this run on this machine alone, buffers for images, and the folder of the logs."""
    profile = str(ROOT / "config" / "fastdds_large_images.xml")
    use_own_domain()
    os.environ["ROS_LOG_DIR"] = str(log_folder / "ros")
    for variable in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
        os.environ.setdefault(variable, profile)


def evaluate(received: Received, session: Session, bag: Path) -> Findings:
    """Compute all measurements. Raises DemoError for results that a user should not accept."""
    old, new = session.first.ids, session.change.ids
    frames = sort_by_vocabulary(received, session.change, session.in_force_since_ns)
    check_ids(received, frames, old, new)
    scores = prompt_scores(received, frames, old, new, ground_truth_labels(bag))
    return Findings(timing(received), frames, scores, session.first, session.change)


def write_images(output: Path, received: Received, session: Session) -> None:
    stamps = sorted(received.overlays)
    if not stamps:
        raise DemoError("segmentation_node published no overlay image")
    frames = [
        OverlayFrame(
            (stamp - stamps[0]) / 1e9,
            received.overlays[stamp],
            changed=stamp > session.in_force_since_ns,
        )
        for stamp in stamps
    ]
    seconds = (session.change.called_ns - stamps[0]) / 1e9
    captions = Captions(
        before=f"vocabulary: {', '.join(FIRST_VOCABULARY)}",
        change=f"at {seconds:.1f} s the vocabulary was changed by a service call, while frames were processed; "
        f"the call took {session.change.call_ms:.0f} ms",
        after=f"vocabulary: {', '.join(SECOND_VOCABULARY)}",
    )
    write_strip(output / "strip.png", frames, captions)
    write_video(output / "overlay.mp4", frames, captions)
    write_animation(output / "demo.webp", frames, captions)


def run(output: Path, node_parameters: dict[str, str]) -> str:
    """Run the whole demo and return the table of results. Raises DemoError."""
    bag = shipped_bag()
    with Bag(bag) as opened:
        frame_count = opened.topics["/camera/ground_truth/label"].message_count
    with RosProcesses(output / "log") as processes, Robot(processes.check) as robot:
        session = run_session(processes, robot, node_parameters, frame_count)
    print("Writing images, video and figures.", flush=True)
    write_images(output, robot.received, session)
    print("Filming a slow model, without and with propagation.", flush=True)
    write_film(output / "slow_model.mp4", record(output / "log", node_parameters))
    findings = evaluate(robot.received, session, bag)
    write_results(output / "results.json", findings, robot.received)
    check_overlap(
        findings.scores
    )  # last, so that the images and figures are there to find the cause
    return table(findings)


def main() -> None:
    parser = argparse.ArgumentParser(description="Run camera and node, measure, write images.")
    parser.add_argument("--output", type=Path, default=Path("demo_out"), help="folder to write to")
    parser.add_argument("--model", default="tabletop", help="the node's parameter of this name")
    parser.add_argument("--device", default="auto", help="the node's parameter of this name")
    parser.add_argument(
        "--studio", action="store_true", help="serve the studio until ctrl-C, and measure nothing"
    )
    options = parser.parse_args()
    output: Path = options.output
    log_folder = (output / "log").resolve()
    log_folder.mkdir(parents=True, exist_ok=True)
    prepare_environment(log_folder)
    for name in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs ignore SIGINT
        signal.signal(name, signal.default_int_handler)
    node_parameters = {"model": options.model, "device": options.device}
    try:
        if options.studio:
            serve_studio(log_folder, node_parameters)
        text = run(output, node_parameters)
    except (DemoError, ZeroShotSegmentationError) as error:
        sys.exit(f"\nThe demo failed: {error}\nWhat the processes wrote is in {log_folder}.")
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        sys.exit(130)
    names = ("strip.png", "overlay.mp4", "slow_model.mp4", "demo.webp", "results.json")
    print(f"\n{text}\n\nWritten: {', '.join(str(output / name) for name in names)}")


if __name__ == "__main__":
    main()
