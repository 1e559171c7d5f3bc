# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The page in a real browser, on images that a model of this process segments."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import TIMEOUT_MS, opened_page
from faded_truth import SHARE, write_truth
from held_jobs import hold_jobs
from PIL import Image, ImageOps
from small_bags import SHIPPED_BAG, write_bag
from studio_clients import TIMEOUT_S, free_port, huge_png, wait_until

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.evaluation.coco_truth import CocoTruth
from zs_seg_ros.images import image_files
from zs_seg_ros.perception.pipeline import Settings
from zs_seg_ros.replay.golden import Golden
from zs_seg_ros.replay.results import Span
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.studio import hub
from zs_seg_ros.studio.access import Access
from zs_seg_ros.studio.app import PAGE
from zs_seg_ros.studio.labelled_frames import LabelledFrames
from zs_seg_ros.studio.model_source import ModelSource, NamedModel
from zs_seg_ros.studio.server import MOST_MESSAGE_BYTES, StudioServer
from zs_seg_ros.studio.source import Changed
from zs_seg_ros.studio.stills import stills_of
from zs_seg_ros.vocabulary.vocabulary import MAX_PIXELS, TargetClass, Vocabulary
from zs_seg_ros.vocabulary.vocabulary_file import read_vocabulary_file

WIDTH, HEIGHT = 240, 120
PRESETS = {"arm": "classes:\n- {name: blue, prompts: [blue cup]}\n- green\n"}


@pytest.fixture
def source(tmp_path: Path) -> ModelSource:
    """The left half fades from red to white, the right half is blue."""
    fading = np.linspace(0, 1, WIDTH // 2)[None, :, None]
    left = (1 - fading) * (220, 30, 30) + fading * (220, 130, 130)
    right = np.broadcast_to((30, 60, 220), left.shape)
    row = np.concatenate([left, right], axis=1).astype(np.uint8)
    Image.fromarray(np.repeat(row, HEIGHT, axis=0)).save(tmp_path / "a.png")
    first = Vocabulary().changed_to([TargetClass("red"), TargetClass("blue")])
    settings = Settings(min_area=1)
    return ModelSource(NamedModel("fake", LoadOptions(), first), stills_of([tmp_path]), settings)


@pytest.fixture
def page(browser: Any, source: ModelSource, tmp_path: Path) -> Iterator[Any]:
    labelled = LabelledFrames(tmp_path / "truth")
    server = StudioServer(source, Access("127.0.0.1", free_port()), PRESETS, labelled)
    with opened_page(browser, server.access.link, viewport={"width": 1280, "height": 900}) as page:
        expect(page.locator(".tile tbody")).to_contain_text("blue")
        yield page
    server.stop()


def expect(target: Any) -> Any:
    from playwright.sync_api import expect

    return expect(target)


def pixels_of(page: Any, name: str) -> int:
    """The pixels of the only object of a class, as the page lists them; 0 without one."""
    for row in page.locator(".tile tbody tr").all():
        cells = row.locator("td").all_text_contents()
        if cells[0].startswith(f"{name} "):
            return int(cells[1])
    return 0


def message(page: Any) -> Any:
    return expect(page.locator("#message"))


def click_image(page: Any, x: float, y: float) -> None:
    """Click on a place of the image, in shares of its sides."""
    box = page.locator("canvas").first.bounding_box()
    page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])


def test_a_slider_moves_pixels_before_it_is_applied_and_agrees_with_the_model(
    page: Any, source: ModelSource
) -> None:
    slider = page.get_by_label("Threshold of red")
    before = pixels_of(page, "red")
    slider.fill("0.9")
    wait_until(lambda: 0 < pixels_of(page, "red") < before, "fewer pixels")
    fewer = pixels_of(page, "red")
    assert source._model.vocabulary.version == 1  # nothing is in force yet
    slider.fill("0.05")
    wait_until(lambda: pixels_of(page, "red") >= before, "more pixels")
    slider.fill("0.9")
    wait_until(lambda: pixels_of(page, "red") == fewer, "the same pixels again")
    slider.press("Enter")
    message(page).to_have_text("Applied.")
    wait_until(lambda: abs(pixels_of(page, "red") - fewer) <= HEIGHT, "the model's own pixels")
    assert source._model.vocabulary.classes[0].threshold == pytest.approx(0.9)


def test_a_threshold_below_the_one_in_force_shows_pixels_that_were_not_published(
    page: Any, source: ModelSource
) -> None:
    slider = page.get_by_label("Threshold of red")
    slider.fill("0.95")
    slider.press("Enter")
    message(page).to_have_text("Applied.")
    wait_until(lambda: source._model.vocabulary.version == 2, "the new threshold")
    wait_until(lambda: 0 < pixels_of(page, "red") < WIDTH * HEIGHT // 8, "few pixels")
    few = pixels_of(page, "red")
    page.get_by_label("Threshold of red").fill("0.6")
    wait_until(lambda: pixels_of(page, "red") > 2 * few, "more pixels")
    page.get_by_role("button", name="Revert").click()
    wait_until(lambda: pixels_of(page, "red") == few, "the published pixels")


def test_a_click_marks_the_detection_and_offers_what_to_do(page: Any, source: ModelSource) -> None:
    click_image(page, 0.75, 0.5)
    panel = page.get_by_role("group", name="The marked object")
    expect(panel).to_contain_text("so the mask of the detection is used")
    expect(panel.get_by_label("Class of the marked object")).to_have_value("blue")
    panel.get_by_role("button", name="Use as example").click()
    message(page).to_contain_text("which the model fake cannot use")  # the model's own refusal
    panel.get_by_label("What it is instead").fill("blue jacket")


def test_not_this_adds_a_negative_to_the_class(page: Any, source: ModelSource) -> None:
    click_image(page, 0.75, 0.5)
    panel = page.get_by_role("group", name="The marked object")
    panel.get_by_label("What it is instead").fill("a jacket")
    panel.get_by_role("button", name="Not this").click()
    message(page).to_have_text("Applied.")
    assert source._model.vocabulary.classes[1].negatives == ("a jacket",)
    expect(panel).to_be_hidden()


def test_an_object_is_marked_in_the_list_with_the_keyboard_alone(
    page: Any, source: ModelSource
) -> None:
    page.locator(".tile tbody tr").filter(has_text="blue").get_by_role("button").focus()
    page.keyboard.press("Enter")
    panel = page.get_by_role("group", name="The marked object")
    expect(panel).to_contain_text("The mask of the detection is used.")
    expect(panel.get_by_label("Class of the marked object")).to_have_value("blue")
    expect(panel.get_by_label("Class of the marked object")).to_be_focused()
    panel.get_by_label("What it is instead").fill("a jacket")
    panel.get_by_role("button", name="Not this").press("Enter")
    message(page).to_have_text("Applied.")
    assert source._model.vocabulary.classes[1].negatives == ("a jacket",)


def test_on_a_phone_the_panel_does_not_cover_what_was_marked(
    browser: Any, source: ModelSource
) -> None:
    server = StudioServer(source, Access("127.0.0.1", free_port()))
    with opened_page(browser, server.access.link, viewport={"width": 360, "height": 740}) as page:
        expect(page.locator(".tile tbody")).to_contain_text("blue")
        page.locator(".tile tbody tr").filter(has_text="blue").get_by_role("button").click()
        panel = page.get_by_role("group", name="The marked object")
        expect(panel).to_contain_text("The mask of the detection is used.")
        canvas = page.locator("canvas").first
        wait_until(lambda: canvas.bounding_box()["y"] >= 0, "the image to be in view")
        image = canvas.bounding_box()
        assert image["y"] + image["height"] <= panel.bounding_box()["y"]
    server.stop()


def test_a_new_class_of_a_long_list_is_in_view(page: Any, tmp_path: Path) -> None:
    file = tmp_path / "many.yaml"
    file.write_text(f"classes: [{', '.join(f'red {number}' for number in range(40))}]")
    page.locator("#import").set_input_files(file)
    expect(page.locator(".class")).to_have_count(40)
    page.get_by_label("Name of a new class").fill("green")
    page.get_by_label("Name of a new class").press("Enter")
    message(page).to_have_text("Applied.")
    expect(page.locator(".class[data-name='green']")).to_be_in_viewport()


def test_rows_of_classes_that_stay_the_same_are_not_built_anew(page: Any) -> None:
    """Of 500 classes that took seconds, and what somebody types in one of them would be in another element."""
    rows = page.locator(".class")
    rows.evaluate_all("rows => { for (const row of rows) row.dataset.mark = row.dataset.name; }")
    rows.nth(1).get_by_label("Name", exact=True).fill("green")
    page.get_by_role("button", name="Apply").click()
    message(page).to_have_text("Applied.")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_have_attribute("data-mark", "red")
    expect(rows.nth(1)).to_have_attribute("data-name", "green")
    expect(rows.nth(1).get_by_label("Threshold of green")).to_be_visible()


def test_a_row_of_a_new_class_takes_the_colour_that_the_class_gets(page: Any) -> None:
    page.get_by_label("Name of a new class").fill("green")
    page.get_by_label("Name of a new class").press("Enter")
    message(page).to_have_text("Applied.")
    colours = "all => all.map((each) => each.style.backgroundColor)"
    given = page.locator(".class .swatch").evaluate_all(colours)
    page.reload()
    expect(page.locator(".class")).to_have_count(3)
    assert page.locator(".class .swatch").evaluate_all(colours) == given
    assert len(set(given)) == 3


def test_the_history_is_listed_when_it_is_opened(page: Any, source: ModelSource) -> None:
    page.get_by_label("Name of a new class").fill("green")
    page.get_by_label("Name of a new class").press("Enter")
    message(page).to_have_text("Applied.")
    page.get_by_text("History").click()
    entries = page.locator("#history li")
    expect(entries).to_have_count(2)
    expect(entries.first).to_contain_text("version 2")
    expect(entries.first).to_contain_text("red, blue, green in force")
    entries.nth(1).get_by_role("button", name="Restore").click()
    expect(entries).to_have_count(3)
    expect(entries.first).to_contain_text("red, blue in force")
    wait_until(lambda: source._model.vocabulary.names == ("red", "blue"), "the first vocabulary")


@pytest.fixture
def answered(source: ModelSource, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Changes of the vocabulary take until this is set."""
    change, event = source.change_vocabulary, threading.Event()

    def held(classes: Sequence[TargetClass]) -> Changed:
        assert event.wait(TIMEOUT_S)
        return change(classes)

    monkeypatch.setattr(source, "change_vocabulary", held)
    return event


def names_in_force(source: ModelSource) -> tuple[str, ...]:
    return source._model.vocabulary.names


def add(page: Any, name: str) -> None:
    page.get_by_label("Name of a new class").fill(name)
    page.get_by_label("Name of a new class").press("Enter")
    message(page).to_have_text("Applying…")


def test_names_that_are_typed_before_the_first_answer_are_all_in_force(
    page: Any, source: ModelSource, answered: threading.Event
) -> None:
    add(page, "green")
    add(page, "white")
    answered.set()
    wait_until(lambda: "white" in names_in_force(source), "both changes")
    message(page).to_have_text("Applied.")
    assert names_in_force(source) == ("red", "blue", "green", "white")
    expect(page.locator("#question")).to_be_hidden()


def test_an_edit_before_the_answer_is_kept_and_not_in_force(
    page: Any, source: ModelSource, answered: threading.Event
) -> None:
    add(page, "green")
    name = page.locator(".class").first.get_by_label("Name", exact=True)
    name.fill("white")
    answered.set()
    message(page).to_have_text("Applied. Later edits are not applied yet.")
    expect(name).to_have_value("white")
    assert names_in_force(source) == ("red", "blue", "green")
    name.press("Enter")
    message(page).to_have_text("Applied.")
    assert names_in_force(source) == ("white", "blue", "green")
    expect(page.locator("#question")).to_be_hidden()


def test_an_undo_that_is_refused_undoes_nothing(
    page: Any, source: ModelSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("green", "white"):
        page.get_by_label("Name of a new class").fill(name)
        page.get_by_label("Name of a new class").press("Enter")
        wait_until(lambda name=name: name in names_in_force(source), "the class")
        message(page).to_have_text("Applied.")

    def refuse(classes: Sequence[TargetClass]) -> Changed:
        raise VocabularyError("refused for once")

    with monkeypatch.context() as refusing:
        refusing.setattr(source, "change_vocabulary", refuse)
        page.get_by_role("button", name="Undo").click()
        message(page).to_have_text("refused for once")
    expect(page.get_by_role("button", name="Redo")).to_be_disabled()
    page.get_by_role("button", name="Undo").click()
    message(page).to_have_text("Applied.")
    assert names_in_force(source) == ("red", "blue", "green")


def test_a_drag_marks_a_region(page: Any) -> None:
    box = page.locator("canvas").first.bounding_box()
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.7 * box["height"], steps=4)
    page.mouse.up()
    panel = page.get_by_role("group", name="The marked object")
    expect(panel).to_contain_text("so the region is used")
    panel.get_by_role("button", name="Keep this one").click()
    message(page).to_contain_text("start the studio beside a running node")
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_be_hidden()


def test_a_vocabulary_is_exported_and_imported(
    page: Any, source: ModelSource, tmp_path: Path
) -> None:
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    file = tmp_path / "exported.yaml"
    download.value.save_as(file)
    assert read_vocabulary_file(file).names == ("red", "blue")
    file.write_text("classes: [green]")
    page.locator("#import").set_input_files(file)
    message(page).to_contain_text("1 classes of exported.yaml")
    assert source._model.vocabulary.names == ("red", "blue")
    page.get_by_role("button", name="Apply").click()
    message(page).to_have_text("Applied.")
    assert source._model.vocabulary.names == ("green",)


def test_a_preset_is_a_draft(page: Any, source: ModelSource) -> None:
    page.get_by_label("Presets").focus()
    expect(page.get_by_label("Presets").locator("option")).to_have_count(2)
    page.get_by_label("Presets").select_option("arm")
    message(page).to_contain_text("2 classes of the preset arm")
    expect(page.locator(".class")).to_have_count(2)
    assert source._model.vocabulary.version == 1


def test_a_damaged_file_is_refused_in_one_sentence(page: Any, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("classes: 7")
    page.locator("#import").set_input_files(file)
    message(page).to_contain_text("the imported file has no list named 'classes'")
    expect(page.locator(".class")).to_have_count(2)


def test_a_warning_stands_beside_its_class(page: Any) -> None:
    page.get_by_label("Name of a new class").fill("unicorn")
    page.get_by_label("Name of a new class").press("Enter")
    warnings = page.get_by_role("list", name="Warnings about unicorn")
    expect(warnings).to_contain_text("has no colour word that the model fake knows")
    expect(page.locator(".class").nth(1).locator(".warnings li")).to_have_count(0)


def test_two_vocabularies_are_compared_on_the_shown_image(page: Any, source: ModelSource) -> None:
    page.locator(".class").nth(1).get_by_role("button", name="Remove blue").click()
    page.get_by_label("First vocabulary").select_option(label="version 1, in force: red, blue")
    page.get_by_label("Second vocabulary").select_option("draft")
    expect(page.get_by_label("First model")).to_be_hidden()
    page.get_by_role("button", name="Compare on this image").click()
    first, second = (page.locator(".compared figure").nth(place) for place in range(2))
    expect(first).to_contain_text("blue 1.00: 14400 pixels")
    expect(second).to_contain_text("red")
    expect(second).not_to_contain_text("blue")
    assert source._model.vocabulary.names == ("red", "blue")


def test_two_models_are_compared_on_the_shown_image(browser: Any) -> None:
    first = Vocabulary().changed_to([TargetClass("red duck")])
    models = [NamedModel(name, LoadOptions(), first) for name in ("tabletop", "fake")]
    source = ModelSource(models[0], stills_of([SHIPPED_BAG]), Settings(), models[1])
    server = StudioServer(source, Access("127.0.0.1", free_port()))
    with opened_page(browser, server.access.link, viewport={"width": 1280, "height": 900}) as page:
        page.get_by_label("Image", exact=True).fill("30")
        expect(page.locator(".tile .numbers")).to_contain_text("31 of 240")
        expect(page.get_by_label("First model")).to_have_value("0")
        expect(page.get_by_label("Second model")).to_have_value("1")
        page.get_by_role("button", name="Compare on this image").click()
        figures = page.locator(".compared figure")
        expect(figures).to_have_count(2)
        for place, name in enumerate(("tabletop", "fake")):
            expect(figures.nth(place)).to_contain_text(f"version 1, in force: red duck · {name}")
            expect(figures.nth(place)).to_contain_text(" ms")
        texts = [figures.nth(place).locator("ul").text_content() for place in range(2)]
        assert texts[0] != texts[1] and "red duck" in texts[0]
        pixels = int(texts[0].partition(": ")[2].split()[0])
        assert abs(pixels - pixels_of(page, "red duck")) < 50  # the page has the image as JPEG
    server.stop()


def test_an_accepted_frame_is_ground_truth_of_what_is_drawn(
    page: Any, source: ModelSource, tmp_path: Path
) -> None:
    page.get_by_label("Threshold of red").fill("0.9")
    wait_until(lambda: 0 < pixels_of(page, "red") < 6000, "fewer pixels")
    page.get_by_role("button", name="Save as a labelled frame").click()
    expect(page.locator("#tools")).to_contain_text("1 frames in")
    truth = CocoTruth(tmp_path / "truth" / "annotations.json", tmp_path / "truth" / "images")
    [frame] = truth.frames()
    assert [target.name for target in truth.classes] == ["red", "blue"]
    assert int((frame.label == 1).sum()) == pixels_of(page, "red")
    assert (frame.label[:, WIDTH // 2 :] == 2).all()


# --- beside each other, and with a model that takes example images ---


def test_two_browsers_see_each_others_changes(browser: Any, source: ModelSource) -> None:
    server = StudioServer(source, Access("127.0.0.1", free_port()))
    link = server.access.link
    with opened_page(browser, link) as one, opened_page(browser, link) as other:
        for page in (one, other):
            expect(page.locator(".class")).to_have_count(2)
        one.get_by_label("Name of a new class").fill("green")
        one.get_by_label("Name of a new class").press("Enter")
        for page in (one, other):
            expect(page.locator(".class")).to_have_count(3)
        other.get_by_role("button", name="Undo").click()
        for page in (one, other):
            expect(page.locator(".class")).to_have_count(2)
    server.stop()


def test_a_click_on_an_object_makes_it_an_example_that_is_then_detected(browser: Any) -> None:
    first = Vocabulary().changed_to([TargetClass("red duck")])
    model = NamedModel("tabletop", LoadOptions(), first)
    server = StudioServer(
        ModelSource(model, stills_of([SHIPPED_BAG]), Settings()),
        Access("127.0.0.1", free_port()),
    )
    with opened_page(browser, server.access.link, viewport={"width": 1280, "height": 900}) as page:
        page.get_by_label("Image", exact=True).fill("30")
        expect(page.locator(".tile .numbers")).to_contain_text("31 of 240")
        expect(page.locator(".tile tbody")).to_contain_text("red duck")
        click_image(page, 0.46, 0.5)
        panel = page.get_by_role("group", name="The marked object")
        expect(panel.get_by_label("Class of the marked object")).to_have_value("red duck")
        expect(panel).to_contain_text("so the mask of the detection is used")
        panel.get_by_label("Class of the marked object").fill("mine")
        panel.get_by_role("button", name="Use as example").click()
        message(page).to_have_text("Applied.")
        row = page.locator(".class[data-name='mine']")
        row.locator("summary").click()
        expect(row.get_by_alt_text("Example 1 of mine")).to_be_visible()
        page.locator(".class").first.get_by_role("button", name="Remove red duck").click()
        page.get_by_role("button", name="Apply").click()
        expect(page.locator(".tile tbody")).to_contain_text("mine")
    [exemplar] = model.vocabulary.classes[0].exemplars
    assert exemplar.mask is not None and exemplar.mask.shape == (240, 320)
    assert 1000 < exemplar.mask.sum() < 2000
    server.stop()


# --- jobs ---


@contextmanager
def recording_page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """The page of a small recording of squares, with a folder to write into."""
    first = Vocabulary().changed_to([TargetClass("red square"), TargetClass("blue square")])
    bag = write_bag(tmp_path / "kitchen", frames=8)
    source = ModelSource(
        NamedModel("fake", LoadOptions(), first), stills_of([bag]), Settings(min_area=20)
    )
    labelled = LabelledFrames(tmp_path / "truth")
    server = StudioServer(source, Access("127.0.0.1", free_port()), {}, labelled)
    with opened_page(browser, server.access.link, viewport={"width": 1280, "height": 900}) as page:
        expect(page.locator(".tile tbody")).to_contain_text("blue square")
        yield page
    server.stop()


def test_a_span_of_a_recording_becomes_a_replay_test(browser: Any, tmp_path: Path) -> None:
    with recording_page(browser, tmp_path) as page:
        jobs = page.get_by_role("region", name="Jobs")
        page.get_by_label("Image", exact=True).fill("2")
        expect(page.locator(".tile .numbers")).to_contain_text("3 of 8")
        jobs.get_by_role("button", name="From here").click()
        jobs.get_by_label("Last image of the replay test").fill("7")
        jobs.get_by_label("Name of the golden file").fill("squares")
        begin = jobs.get_by_role("button", name="Make this a replay test")
        begin.press("Enter")
        path = tmp_path / "truth" / "squares.golden"
        expect(jobs).to_contain_text(f"5 images in {path}")
        expect(jobs).to_contain_text(f"replay_test {tmp_path / 'kitchen'} --golden {path}")
        with Golden(path) as golden:
            assert golden.settings.span == Span(2, 6)
        begin.click()
        expect(jobs.get_by_role("alert")).to_contain_text("squares.golden already")
        expect(jobs.get_by_label("Progress of the job")).to_be_hidden()


@contextmanager
def truth_page(
    browser: Any, source: ModelSource, tmp_path: Path, lower: str = "red", **options: Any
) -> Iterator[Any]:
    """The page with a folder of labelled frames. lower: see `write_truth`."""
    labelled = write_truth(tmp_path / "truth", 12, lower)
    server = StudioServer(source, Access("127.0.0.1", free_port()), {}, labelled)
    options = {"viewport": {"width": 1280, "height": 900}, **options}
    with opened_page(browser, server.access.link, **options) as page:
        expect(page.locator(".class")).to_have_count(2)
        yield page
    server.stop()


def test_the_draft_is_evaluated_on_the_labelled_frames(
    browser: Any, source: ModelSource, tmp_path: Path
) -> None:
    with truth_page(browser, source, tmp_path) as page:
        jobs = page.get_by_role("region", name="Jobs")
        jobs.get_by_role("button", name="Evaluate the draft").click()
        table = jobs.get_by_role("table", name="fake on 12 labelled frames")
        expect(table.get_by_role("row")).to_have_count(3)
        cells = table.get_by_role("row").nth(2).get_by_role("cell").all_text_contents()
        assert cells[:2] == ["blue", "1.000"]
        expect(jobs.get_by_role("button", name="Evaluate the draft")).to_be_enabled()


def test_what_tune_chooses_is_taken_into_the_draft_with_one_click(
    browser: Any, source: ModelSource, tmp_path: Path
) -> None:
    with truth_page(browser, source, tmp_path) as page:
        jobs = page.get_by_role("region", name="Jobs")
        jobs.get_by_role("button", name="Tune the draft").press("Enter")
        expect(jobs.get_by_role("table")).to_contain_text("it is best as given")
        jobs.get_by_role("button", name="Take the choice for red").click()
        message(page).to_contain_text("Taken into the draft")
        chosen = float(page.get_by_label("Threshold of red").input_value())
        assert abs(chosen - SHARE) <= 0.051
        assert source._model.vocabulary.version == 1
        page.get_by_role("button", name="Apply").click()
        message(page).to_have_text("Applied.")
        assert source._model.vocabulary.classes[0].threshold == pytest.approx(chosen)
        page.locator(".class").first.get_by_role("button", name="Remove red").click()
        jobs.get_by_role("button", name="Take all into the draft").click()
        message(page).to_contain_text("no such class any more")


def test_classes_that_tune_proposes_to_merge_are_merged_with_one_click(
    browser: Any, source: ModelSource, tmp_path: Path
) -> None:
    with truth_page(browser, source, tmp_path, "blue") as page:
        jobs = page.get_by_role("region", name="Jobs")
        jobs.get_by_role("button", name="Tune the draft").click()
        expect(jobs).to_contain_text("merge 'red' and 'blue' into one class: IoU +0.")
        jobs.get_by_role("button", name="Take the proposal for red and blue").click()
        expect(page.locator(".class")).to_have_count(1)
        page.get_by_role("button", name="Apply").click()
        message(page).to_have_text("Applied.")
    [merged] = source._model.vocabulary.classes
    assert (merged.name, merged.prompts) == ("red", ("red", "blue"))


def test_a_negative_that_tune_proposes_is_taken_with_one_click(
    browser: Any, source: ModelSource, tmp_path: Path
) -> None:
    with truth_page(browser, source, tmp_path, "rust") as page:
        jobs = page.get_by_role("region", name="Jobs")
        jobs.get_by_role("button", name="Tune the draft").click()
        expect(jobs).to_contain_text("give 'red' the negative 'rust'")
        jobs.get_by_role("button", name="Take the proposal for red").click()
        page.get_by_role("button", name="Apply").click()
        message(page).to_have_text("Applied.")
    assert [target.negatives for target in source._model.vocabulary.classes] == [("rust",), ()]


def test_a_job_shows_its_progress_survives_a_reload_and_is_cancelled(
    browser: Any, source: ModelSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_jobs(monkeypatch, tmp_path)
    monkeypatch.setattr(hub, "_JOB_LINGER_S", math.inf)  # however long a page takes to load again
    with truth_page(browser, source, tmp_path) as page:
        jobs = page.get_by_role("region", name="Jobs")
        jobs.get_by_role("button", name="Tune the draft").click()
        for _ in range(2):
            expect(jobs.get_by_label("Progress of the job")).to_be_visible()
            expect(jobs).to_contain_text("Tune · loading fake")
            expect(jobs.get_by_role("button", name="Evaluate the draft")).to_be_disabled()
            expect(jobs.get_by_role("button", name="Make this a replay test")).to_be_disabled()
            page.reload()
        jobs.get_by_role("button", name="Cancel").click()
        expect(jobs).to_contain_text("Tune was cancelled.")
        expect(jobs.get_by_label("Progress of the job")).to_be_hidden()
        page.reload()
        expect(jobs).to_contain_text("Tune was cancelled.")
        expect(jobs.get_by_role("button", name="Tune the draft")).to_be_enabled()


def test_results_of_a_job_do_not_come_up_under_its_cancel_button(
    browser: Any, source: ModelSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = hold_jobs(monkeypatch, tmp_path)
    with truth_page(browser, source, tmp_path) as page:
        jobs = page.get_by_role("region", name="Jobs")
        jobs.get_by_role("button", name="Tune the draft").click()
        expect(jobs).to_contain_text("Tune · loading fake")
        cancel = jobs.get_by_role("button", name="Cancel").bounding_box()
        tops = "each => [...each.querySelectorAll('.result button')].map((b) => b.getBoundingClientRect().top)"
        scrolled = page.evaluate("scrollY")
        go.touch()
        expect(jobs.get_by_role("table")).to_contain_text("it is best as given")
        moved = page.evaluate("scrollY") - scrolled
        assert min(jobs.evaluate(tops)) + moved >= cancel["y"] + cancel["height"]


@pytest.mark.parametrize(
    ("theme", "ground"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(27, 34, 44)")]
)
def test_results_of_jobs_fit_a_phone_and_have_names(
    browser: Any, source: ModelSource, tmp_path: Path, theme: str, ground: str
) -> None:
    options = {"viewport": {"width": 360, "height": 740}, "color_scheme": theme}
    with truth_page(browser, source, tmp_path, **options) as page:
        jobs = page.get_by_role("region", name="Jobs")
        jobs.get_by_role("button", name="Tune the draft").click()
        expect(jobs.get_by_role("table")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert jobs.evaluate("each => getComputedStyle(each).backgroundColor") == ground
        unnamed = jobs.evaluate(
            """each => [...each.querySelectorAll('button, input, progress')]
                .filter((own) => !(own.textContent.trim() || own.labels?.length || own.getAttribute('aria-label')))
                .map((own) => own.outerHTML)"""
        )
        assert unnamed == []


# --- image files that are added ---

DROP = """([name, bytes]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(bytes)], name, {type: 'image/png'}));
    for (const kind of ['dragover', 'drop']) {
        document.body.dispatchEvent(new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true}));
    }
}"""


def png(colour: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((60, 90, 3), colour, np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_files_that_are_chosen_or_dropped_are_shown_and_segmented(
    page: Any, tmp_path: Path
) -> None:
    hostile = "<img src=x onerror=alert(1)>.png"
    for name, colour in ((hostile, (220, 30, 30)), ("b.png", (30, 60, 220))):
        (tmp_path / name).write_bytes(png(colour))
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add images…").press("Enter")
    chooser.value.set_files([tmp_path / hostile, tmp_path / "b.png"])
    message(page).to_have_text("2 added.")
    added = page.get_by_role("figure", name="Camera dropped images")
    expect(added.locator(".numbers")).to_contain_text("b.png · 2 of 2 · 90×60")
    expect(added.locator("tbody")).to_contain_text("blue 1.00")
    added.get_by_role("button", name="One image back").click()
    expect(added.locator(".numbers")).to_contain_text(f"{hostile} · 1 of 2")
    expect(added.locator("tbody")).to_contain_text("red 1.00")
    assert page.locator(".tile img").count() == 0
    page.evaluate(DROP, ["c.png", list(png((30, 60, 220)))])
    expect(added.locator(".numbers")).to_contain_text("c.png · 3 of 3")
    page.get_by_role("button", name="Compare on this image").click()
    expect(page.locator(".compared figure").first).to_contain_text("5400 pixels")  # of 90x60
    page.evaluate(DROP, ["notes.png", list(b"no image")])
    message(page).to_contain_text("notes.png is not added: the file is no image")
    page.get_by_role("button", name="Remove added images").click()
    expect(added).to_have_count(0)
    expect(page.get_by_role("button", name="Remove added images")).to_be_hidden()


MOST_PIXELS = 40_000
"""Of the page and the server in tests of larger photos, which are then as small as the other images."""


@pytest.fixture
def small_limit(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (PAGE / "dropping.js").read_text()
    assert "MOST_PIXELS = 4096 * 3072;" in script
    script = script.replace("MOST_PIXELS = 4096 * 3072;", f"MOST_PIXELS = {MOST_PIXELS};")
    headers = {"content-type": "text/javascript"}
    page.route("**/page/dropping.js", lambda route: route.fulfill(body=script, headers=headers))
    monkeypatch.setattr(image_files, "MAX_PIXELS", MOST_PIXELS)
    page.reload()
    expect(page.locator(".tile tbody")).to_contain_text("blue")


@pytest.mark.parametrize(
    ("kind", "orientation"),
    [("jpg", each) for each in (1, 3, 6, 8)]
    + [("png", 1), ("png", 6)]
    + [("webp", each) for each in range(1, 9)],
)
def test_a_photo_with_more_pixels_than_are_read_is_made_smaller_and_upright(
    page: Any, small_limit: None, tmp_path: Path, kind: str, orientation: int
) -> None:
    size = (400, 300)
    photo = Image.new("RGB", size, (30, 60, 220))
    photo.paste(
        (220, 30, 30), (0, 0, size[0] // 4, size[1] // 2)
    )  # in a corner: no two orientations are alike
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo.save(tmp_path / f"photo.{kind}", exif=exif)
    upright = size[::-1] if orientation > 4 else size
    scale = math.sqrt(MOST_PIXELS / (size[0] * size[1]))
    width, height = (math.floor(side * scale) for side in upright)
    page.locator("#image-files").set_input_files(tmp_path / f"photo.{kind}")
    message(page).to_have_text(f"1 added, 1 of them reduced to {width}×{height} pixels.")
    added = page.get_by_role("figure", name="Camera dropped images")
    expect(added.locator(".numbers")).to_contain_text(f"photo.{kind} · 1 of 1 · {width}×{height}")
    row = added.locator("tbody tr").filter(has_text="red ").first
    left, top, box_width, box_height = row.evaluate("row => row.object.box")
    shares = [left / width, top / height, (left + box_width) / width, (top + box_height) / height]
    turned = np.array(ImageOps.exif_transpose(Image.open(tmp_path / f"photo.{kind}")))
    rows, columns = np.nonzero(turned[..., 0] > turned[..., 2])
    expected = [columns.min() / upright[0], rows.min() / upright[1]]
    expected += [(columns.max() + 1) / upright[0], (rows.max() + 1) / upright[1]]
    assert np.abs(np.subtract(shares, expected)).max() < 0.03


def test_several_files_say_how_many_were_made_smaller(
    page: Any, small_limit: None, tmp_path: Path
) -> None:
    Image.new("RGB", (400, 300), (220, 30, 30)).save(tmp_path / "large.png")
    (tmp_path / "small.png").write_bytes(png((30, 60, 220)))
    page.locator("#image-files").set_input_files([tmp_path / "large.png", tmp_path / "small.png"])
    message(page).to_have_text("2 added, 1 of them reduced to 230×173 pixels.")


@pytest.mark.parametrize(
    ("size", "reduced"), [((5472, 3648), "4344×2896"), ((8688, 5792), "4344×2896")]
)
def test_a_photo_of_20_and_of_50_megapixels_is_added(
    page: Any, tmp_path: Path, size: tuple[int, int], reduced: str
) -> None:
    Image.new("RGB", size, (30, 60, 220)).save(tmp_path / "photo.jpg")
    page.locator("#image-files").set_input_files(tmp_path / "photo.jpg")
    text = f"1 added, 1 of them reduced to {reduced} pixels."
    message(page).to_have_text(text, timeout=4 * TIMEOUT_MS)


def test_a_file_with_many_bytes_is_made_smaller(page: Any, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2400, 2500, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png", compress_level=0)
    assert (tmp_path / "noise.png").stat().st_size > 15 << 20
    page.locator("#image-files").set_input_files(tmp_path / "noise.png")
    message(page).to_contain_text("1 added, 1 of them reduced to 2500×2400 pixels.")


def test_an_image_that_claims_more_pixels_than_a_browser_reads_is_refused(
    page: Any, tmp_path: Path
) -> None:
    (tmp_path / "bomb.png").write_bytes(huge_png(60_000, 60_000))
    page.locator("#image-files").set_input_files(tmp_path / "bomb.png")
    message(page).to_contain_text("bomb.png is not added: ")
    expect(page.locator("#connection")).to_have_text("connected")


def test_the_page_and_the_server_have_the_same_limits() -> None:
    script = (PAGE / "dropping.js").read_text()
    assert "MOST_PIXELS = 4096 * 3072;" in script and MAX_PIXELS == 4096 * 3072
    assert "MOST_BYTES = 15 << 20;" in script and MOST_MESSAGE_BYTES == 16 << 20


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(page: Any, tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(bytes(17 << 20))
    page.locator("#image-files").set_input_files(tmp_path / "large.png")
    message(page).to_contain_text("large.png is not added: it has more than 15 MiB")
    expect(page.locator("#connection")).to_have_text("connected")
