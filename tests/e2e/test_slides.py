"""Choosing fields on a slide in a real browser: from the dropped file to scored images of a case."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from tests.domain.qupath_files import POSITIVE, collection, feature, multipoint
from tests.e2e.pages import upload
from tests.e2e.running import RunningApp, running_app
from tests.imaging.slide_files import write_slide

pytestmark = pytest.mark.browser
MPP, WIDTH, HEIGHT = 0.5, 2800, 2100
SIDE = 894  # of 0.2 mm² at 0.5 µm/px
TISSUE = (600, 400, 2400, 1600)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app for which five megapixels are too many for one image."""
    with running_app(tmp_path_factory.mktemp("app") / "data", {"NUCLEUS_MAX_MEGAPIXELS": "2"}) as running:
        yield running


@pytest.fixture(scope="module")
def rgb() -> np.ndarray:
    """Tissue on glass: three times two fields, the last one browner than the others."""
    fields = [
        draw_field(FieldRecipe(600, 600, mpp=MPP, positive_share=share), np.random.default_rng(3)).rgb
        for share in (0.15, 0.7)
    ]
    slide = np.full((HEIGHT, WIDTH, 3), 243, np.uint8)
    left, top, right, bottom = TISSUE
    slide[top:bottom, left:right] = np.tile(fields[0], (2, 3, 1))
    slide[bottom - 600 : bottom, right - 600 : right] = fields[1]
    return slide


@pytest.fixture(scope="module")
def written(rgb: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slide") / "S26-77.svs", rgb, mpp=MPP)


@pytest.fixture
def file(written: Path, tmp_path: Path) -> Path:
    """A file that no other test dropped."""
    another = tmp_path / written.name
    another.write_bytes(written.read_bytes() + str(tmp_path).encode())
    return another


def drop(page: Page, app: RunningApp, file: Path) -> Locator:
    """Drop a slide on the page; returns the picker, ready."""
    page.goto(app.url)
    expect(page.locator(".nv-root")).to_have_attribute("data-ready", re.compile(r"\d+"), timeout=120_000)
    upload(page, file)
    return picker_of(page)


def draft(page: Page, app: RunningApp, file: Path, x: int, y: int) -> Locator:
    """Drop a slide and click for a square of 0.2 mm²; returns the picker."""
    picker = drop(page, app, file)
    picker.get_by_label("0.2 mm²").check()
    click_slide(page, x, y)
    return picker


def picker_of(page: Page) -> Locator:
    picker = page.get_by_role("dialog", name="Choose fields")
    expect(picker).to_have_attribute("data-ready", "yes")
    return picker


def box_of(picker: Locator) -> list[int]:
    return [int(value) for value in (picker.get_attribute("data-draft") or "").split(",")]


def click_slide(page: Page, x: int, y: int, **options: object) -> None:
    """Click on a place given in pixels of the slide."""
    at = page.evaluate(
        """([x, y]) => {
          const { stage } = document.querySelector('.nv-root').viewer.desk.slides.desk;
          stage.draw();
          const box = stage.osd.canvas.getBoundingClientRect();
          return [box.left + stage.view.x + x * stage.view.scale, box.top + stage.view.y + y * stage.view.scale];
        }""",
        [x, y],
    )
    page.mouse.click(*at, **options)  # type: ignore[arg-type]


def slides_of(app: RunningApp) -> list[dict[str, object]]:
    listed: list[dict[str, object]] = httpx.get(f"{app.url}nucleus/api/slides").json()["slides"]
    return listed


def test_fields_are_chosen_on_a_dropped_slide_and_scored_as_one_case(
    page: Page, app: RunningApp, file: Path, tmp_path: Path
) -> None:
    picker = drop(page, app, file)
    expect(picker).to_contain_text("2,800 × 2,100 px at 0.500 µm/px (Aperio metadata)")
    picker.get_by_label("0.2 mm²").check()
    click_slide(page, 1500, 1000)
    assert box_of(picker) == [1500 - SIDE // 2, 1000 - SIDE // 2, 1500 + SIDE // 2, 1000 + SIDE // 2]
    page.keyboard.press("Enter")
    expect(picker).to_have_attribute("data-fields", "1")
    expect(picker).to_have_attribute("data-draft", "")
    click_slide(page, WIDTH - 60, HEIGHT - 60)  # moved inwards at the border
    assert box_of(picker) == [WIDTH - SIDE, HEIGHT - SIDE, WIDTH, HEIGHT]
    picker.get_by_role("button", name="Score this field").click()
    expect(picker).to_have_attribute("data-fields", "2")
    slide = slides_of(app)[0]
    images = [field["image"] for field in slide["fields"]]  # type: ignore[index,attr-defined]
    assert {image["case"] for image in app.images() if image["id"] in images} == {slide["case"]}
    picker.get_by_role("list", name="Fields of this slide").get_by_role("button").first.click()
    expect(picker).to_be_hidden()
    root = page.locator(".nv-root")
    expect(root).to_have_attribute("data-image", str(images[0]))
    expect(root).to_have_attribute("data-ready", re.compile(r"\d+"), timeout=120_000)
    assert int(root.get_attribute("data-n") or 0) > 100
    marked = tmp_path / "slide.geojson"  # in QuPath, on the slide: one nucleus in this field, one elsewhere
    marked.write_bytes(collection(feature(multipoint((1500.5, 1000.5), (9, 9)), POSITIVE)))
    page.get_by_role("button", name="Import from QuPath…").click()
    page.get_by_label("GeoJSON file of QuPath").set_input_files(marked)
    expect(page.get_by_label("Places in the file are those of the whole slide")).to_be_checked()
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator(".nv-info")).to_contain_text("1 objects outside of the image passed over: they lie elsewhere")
    expect(root).to_have_attribute("data-n", "1")
    (nucleus,) = httpx.get(f"{app.url}nucleus/api/images/{images[0]}/result.json").json()["nuclei"]
    assert nucleus[:2] == [SIDE // 2, SIDE // 2]
    page.go_back()  # to the slide again
    expect(picker).to_be_visible()
    expect(picker).to_have_attribute("data-fields", "2")


def test_a_step_of_magnification_shows_as_many_um_as_a_microscope_and_leaves_the_middle_where_it_is(
    page: Page, app: RunningApp, file: Path
) -> None:
    picker = drop(page, app, file)
    steps = picker.get_by_role("group", name="Magnification")
    expect(steps.get_by_role("button")).to_have_text(["10×", "20×"])  # 0.5 µm/px is 20×; at 6× all of it is seen
    looking = """() => { const { stage } = document.querySelector('.nv-root').viewer.desk.slides.desk, [from, to] = stage.seen();
      return [stage.view.scale, (from.x + to.x) / 2, (from.y + to.y) / 2]; }"""
    _, x, y = page.evaluate(looking)
    for step, um in (("20×", 0.5), ("10×", 1.0)):
        button = steps.get_by_role("button", name=step, exact=True)
        button.click()
        expect(picker.get_by_role("application")).to_be_focused()  # where Enter scores
        expect(button).to_have_attribute("aria-pressed", "true")
        scale, now_x, now_y = page.evaluate(looking)
        assert MPP / scale == pytest.approx(um, rel=0.01)
        assert (now_x, now_y) == pytest.approx((x, y), abs=3)
    expect(steps.get_by_role("status")).to_have_text("10×")
    page.keyboard.press("+")
    expect(steps.get_by_role("status")).to_have_text("15×")


def test_the_same_slide_dropped_again_is_opened_with_its_fields_and_not_kept_twice(
    page: Page, app: RunningApp, file: Path
) -> None:
    picker = draft(page, app, file, 1500, 1000)
    page.keyboard.press("Enter")
    expect(picker).to_have_attribute("data-fields", "1")
    before = slides_of(app)
    picker = drop(page, app, file.rename(file.with_name("renamed.svs")))
    expect(picker).to_have_attribute("data-fields", "1")
    expect(picker).to_contain_text("S26-77.svs")
    picker.get_by_role("button", name="Close").click()
    expect(page.locator(".nv-notice")).to_contain_text("renamed.svs: the same slide is kept already, as “S26-77.svs”")
    assert [slide["id"] for slide in slides_of(app)] == [slide["id"] for slide in before]


def test_a_field_holds_exactly_the_pixels_in_its_frame(
    page: Page, app: RunningApp, file: Path, rgb: np.ndarray
) -> None:
    picker = draft(page, app, file, 1203, 911)
    left, top, right, bottom = box_of(picker)
    page.keyboard.press("Enter")
    expect(picker).to_have_attribute("data-fields", "1")
    [field] = slides_of(app)[0]["fields"]  # type: ignore[misc]
    shown = next(image for image in app.images() if image["id"] == field["image"])  # type: ignore[index]
    level = int(np.ceil(np.log2(SIDE)))
    tile = httpx.get(f"{app.url}nucleus/tiles/{shown['blob']}/{shown['id']}_files/{level}/0_0.jpeg").content
    pixels = np.asarray(Image.open(BytesIO(tile)), np.float32)
    expected = rgb[top:bottom, left:right][:512, :512].astype(np.float32)
    off = [
        np.abs(pixels[4:-4, 4:-4] - np.roll(expected, shift, (0, 1))[4:-4, 4:-4]).mean()
        for shift in ((0, 0), (0, 1), (1, 0))
    ]
    assert off[0] < 4
    assert off[0] < 0.6 * min(off[1:])


def test_the_brownest_place_is_offered_and_taken_as_draft(page: Page, app: RunningApp, file: Path) -> None:
    picker = drop(page, app, file)
    picker.get_by_label("0.2 mm²").check()
    picker.get_by_label("Show where the slide is brown").check()
    expect(picker).to_have_attribute("data-brown", "yes")
    picker.get_by_role("list", name="Brownest places").get_by_role("button").first.click()
    left, top, right, bottom = box_of(picker)
    assert (right - left, bottom - top) == (SIDE, SIDE)
    assert abs((left + right) / 2 - 2100) < 400  # on the brown corner of the tissue
    assert abs((top + bottom) / 2 - 1300) < 400
    page.keyboard.press("Escape")
    expect(picker).to_have_attribute("data-draft", "")
    expect(picker).to_be_visible()
    page.keyboard.press("Escape")
    expect(picker).to_be_hidden()


def test_a_slide_is_opened_again_after_a_reload_and_removed_for_good(page: Page, app: RunningApp, file: Path) -> None:
    picker = drop(page, app, file)
    picker.get_by_label("0.2 mm²").check()
    picker.get_by_role("button", name="Place in the middle of the view").click()
    page.keyboard.press("Enter")
    expect(picker).to_have_attribute("data-fields", "1")
    page.reload()
    picker = picker_of(page)  # it has an address
    expect(picker).to_have_attribute("data-fields", "1")
    picker.get_by_role("button", name="Close").click()
    section = page.get_by_role("region", name="Slides")
    section.get_by_role("button").first.click()
    expect(picker).to_be_visible()
    before = slides_of(app)
    picker.get_by_role("button", name="Remove the slide…").click()
    page.keyboard.press("Escape")  # takes the question back
    expect(picker).to_be_visible()
    picker.get_by_role("button", name="Remove the slide…").click()
    picker.get_by_role("button", name="Remove it").click()
    expect(picker).to_be_hidden()
    assert [slide["id"] for slide in slides_of(app)] == [slide["id"] for slide in before[1:]]
    assert len(list((app.data_dir / "slides").iterdir())) == len(before) - 1
    image = before[0]["fields"][0]["image"]  # type: ignore[index]
    assert httpx.get(f"{app.url}nucleus/api/images/{image}").status_code == 200


def test_what_is_no_slide_or_a_broken_one_is_told_in_a_notice(page: Page, app: RunningApp, file: Path) -> None:
    page.goto(app.url)
    expect(page.locator(".nv-root")).to_have_attribute("data-ready", re.compile(r"\d+"), timeout=120_000)
    before = len(slides_of(app))
    broken = file.with_name("broken.svs")
    broken.write_bytes(file.read_bytes()[:300_000])
    upload(page, broken)
    expect(page.get_by_role("alert")).to_contain_text("broken.svs: The")
    expect(page.get_by_role("dialog", name="Choose fields")).to_be_hidden()
    assert len(slides_of(app)) == before


def test_a_killed_server_is_told_and_the_draft_is_scored_when_it_is_back(
    page: Page, app: RunningApp, file: Path
) -> None:
    picker = draft(page, app, file, 1500, 1000)
    chosen = box_of(picker)
    app.kill()
    page.keyboard.press("Enter")
    expect(picker.get_by_role("alert").filter(has_text="answer")).to_be_visible()
    assert box_of(picker) == chosen
    app.start()
    expect(picker).to_have_attribute("data-connected", "yes")
    page.keyboard.press("Enter")
    expect(picker).to_have_attribute("data-fields", "1")
