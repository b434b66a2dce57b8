"""A case from its fields to its signature, in a real Chromium, compared with what the server then holds."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.rules import RULES
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.services.workplace import Workplace
from tests.e2e.desk import ZOOM, Desk
from tests.e2e.pages import wait_scored
from tests.e2e.running import RunningApp
from tests.e2e.seeding import grade_candidates, seed_case

pytestmark = pytest.mark.browser
SIDE_PX = 940  # at 0.5 µm/px more than the side of 0.2 mm²
LOCKED = "This case is signed off. Reopen it to change it."
# How far the drawn edges of the first box are from where they must be, by OpenSeadragon's own arithmetic, in screen pixels.
EDGES = """() => {
  const v = document.querySelector('.nv-root').viewer, item = v.osd.world.getItemAt(0), { canvas, fields: [{ box }] } = v.boxes;
  const at = (x, y) => item.imageToViewerElementCoordinates(new OpenSeadragon.Point(x + 0.5, y + 0.5));
  const a = at(box[0], box[1]), b = at(box[2], box[3]), g = canvas.getContext('2d'), middle = Math.round((a.y + b.y) / 2);
  const row = g.getImageData(0, middle, canvas.width, 1).data, edge = (x) => {
    let sum = 0, weight = 0;
    for (let i = Math.round(x) - 6; i <= Math.round(x) + 6; i++) { const w = row[4 * i] * row[4 * i + 3]; sum += w * (i + 0.5); weight += w; }
    return sum / weight - x; };
  return [edge(a.x), edge(b.x)]; }"""


@pytest.fixture(scope="module")
def app(seeded_app: RunningApp) -> RunningApp:
    return seeded_app


@pytest.fixture(scope="module")
def drawn() -> LabelledImage:
    return draw_field(FieldRecipe(width_px=SIDE_PX, height_px=SIDE_PX), np.random.default_rng(21))


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """One page for all tests, as a reader has one for all cases of a day. Its script must never fail."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(f"script error {error}"))
    yield opened
    context.close()
    assert problems == []


@pytest.fixture
def desk(page: Page, app: RunningApp, store: Workplace, drawn: LabelledImage) -> Desk:
    """A fresh case."""
    return Desk(page, app, seed_case(store, drawn.rgb, candidates(drawn), "Seeded")).open()


def candidates(drawn: LabelledImage) -> Nuclei:
    return grade_candidates(drawn.nuclei, np.random.default_rng(22))


def test_the_select_has_the_protocols_by_their_titles(desk: Desk) -> None:
    titles = desk.page.locator("#protocol option").all_inner_texts()
    assert titles == [rule.title for rule in RULES.values()]
    values = [option.get_attribute("value") for option in desk.page.locator("#protocol option").all()]
    assert values == [protocol.value for protocol in RULES]


def test_a_net_is_graded_by_ki67_and_mitoses(desk: Desk) -> None:
    desk.choose_protocol("net hot spot")
    desk.shows_primary()
    expect(desk.page.locator(".nv-badge")).to_have_text(re.compile("^Ki67-based G[123]$"))
    expect(desk.page.locator(".nv-class-text")).to_contain_text("Not given: differentiation and mitotic count")
    desk.page.get_by_label("Well differentiated").select_option("yes")
    desk.page.get_by_label("Mitoses per 2 mm²").fill("21")
    expect(desk.page.locator(".nv-badge")).to_have_text("NET G3")
    desk.page.get_by_label("Mitoses per 2 mm²").fill("1,000")
    desk.page.get_by_label("Mitoses per 2 mm²").press("Tab")
    expect(desk.page.get_by_label("Mitoses per 2 mm²")).to_have_value("21")
    expect(desk.page.locator(".nv-typed-wrong")).to_contain_text("It was not taken")
    desk.page.get_by_label("Count at least").select_option("2000")
    expect(desk.page.locator(".nv-progress")).to_contain_text("of 2,000")
    sheet = desk.state()["sheet"]
    assert (sheet["well_differentiated"], sheet["mitoses_per_2mm2"], sheet["target"]) == (True, 21, 2000)
    desk.page.reload()
    expect(desk.page.get_by_label("Mitoses per 2 mm²")).to_have_value("21")
    expect(desk.page.locator(".nv-badge")).to_have_text("NET G3")


def test_a_dragged_field_counts_what_lies_in_it_and_follows_every_edit(desk: Desk) -> None:
    desk.drag_field(200, 250, 640, 610)
    state = desk.state()
    [field] = state["sheet"]["fields"]
    assert field["box"] == pytest.approx([200, 250, 640, 610], abs=1.5)
    expect(desk.page.locator(".nv-info")).to_contain_text("takes the place of the whole image")
    inside = [n for n in desk.result()["nuclei"] if 200 <= n[0] < 640 and 250 <= n[1] < 610 and n[2] < 2]
    assert desk.shows_primary()["tumour"] == pytest.approx(len(inside), abs=4)  # those on the edge
    before = desk.shows_primary()["tumour"]
    one = next(n for n in desk.counted() if 220 < n[1] < 620 and 270 < n[2] < 590 and n[3] < 2)
    desk.page.mouse.move(*desk.at(one[1], one[2]))
    desk.key("x")
    assert desk.shows_primary()["tumour"] == before - 1
    expect(desk.page.locator(".nv-network")).to_contain_text(f"of {before:,}")
    out = next(n for n in desk.counted() if n[1] > 660 and n[3] < 2)
    desk.page.mouse.move(*desk.at(out[1], out[2]))
    desk.key("x")
    desk.saved()
    assert desk.shows_primary()["tumour"] == before - 1
    for zoom in (1, 1.7, 3.3):
        desk.page.evaluate(ZOOM, zoom)
        if zoom < 2:
            assert desk.page.evaluate(EDGES) == pytest.approx([0, 0], abs=0.6)


def test_the_drag_tells_its_size_and_escape_leaves_no_field(desk: Desk, page: Page) -> None:
    desk.key("d")
    page.mouse.move(*desk.at(300, 300))
    page.mouse.down()
    page.mouse.move(*desk.at(500, 400), steps=4)
    text = page.evaluate("document.querySelector('.nv-root').viewer.tools.drawing.text")
    assert re.fullmatch(r"(99|100|101) × (49|50|51) µm · 0\.005\d? mm²", text)
    desk.key("Escape")
    page.mouse.up()
    desk.key("Escape")
    expect(desk.root).to_have_attribute("data-tool", "pan")
    assert [field["box"] for field in desk.state()["sheet"]["fields"]] == [None]
    page.get_by_role("button", name="0.2 mm² in view").click()
    [field] = desk.state()["sheet"]["fields"]
    left, top, right, bottom = field["box"]
    assert (right - left) * (bottom - top) * 0.25e-6 == pytest.approx(0.2, abs=1e-4)
    expect(page.locator(".nv-field-counts")).to_contain_text("0.20 mm²")


def test_shares_are_summed_and_allot_the_fields(desk: Desk, page: Page) -> None:
    desk.choose_protocol("breast weighted")
    page.get_by_label("low", exact=True).fill("60")
    expect(page.locator(".nv-sum")).to_have_text("60 % of 100 %")
    page.get_by_label("high", exact=True).fill("40 %")
    expect(page.locator(".nv-sum")).to_contain_text("low 2, high 2")
    expect(page.locator("[data-have=low]")).to_have_text("0 of 2")
    for corner in ((150, 250), (150, 500), (520, 250), (520, 500)):
        desk.drag_field(*corner, corner[0] + 300, corner[1] + 200)
    assert [field["role"] for field in desk.state()["sheet"]["fields"] if field["box"]] == [
        "low",
        "low",
        "high",
        "high",
    ]
    expect(page.locator("[data-have=high]")).to_have_text("2 of 2")
    desk.shows_primary()
    fields = desk.state()["sheet"]["fields"]
    row = page.locator(".nv-fields-list li").nth(2)
    row.get_by_role("button", name="Remove the field").click()
    expect(page.locator("[data-have=high]")).to_have_text("1 of 2")
    expect(page.locator(".nv-go").nth(2)).to_be_focused()
    page.locator(".nv-notice").get_by_role("button", name="Undo").click()
    expect(page.locator("[data-have=high]")).to_have_text("2 of 2")
    assert desk.state()["sheet"]["fields"] == fields
    page.get_by_label("high", exact=True).fill("x")
    expect(page.get_by_label("high", exact=True)).to_have_attribute("aria-invalid", "true")


def test_fields_are_renamed_ordered_and_given_roles(desk: Desk, page: Page) -> None:
    desk.choose_protocol("breast hot spot")
    page.get_by_role("button", name="0.2 mm² in view").click()
    desk.settled()
    name = page.get_by_label("Name of field 2")
    name.fill("Edge of the tumour")
    desk.settled()
    page.get_by_role("button", name="Move up: Edge of the tumour").click()
    desk.settled()
    expect(page.locator(".nv-go").first).to_be_focused()  # there is no further up
    page.get_by_label("Role of Field 2").select_option("hot spot")
    fields = desk.state()["sheet"]["fields"]
    assert [(field["name"], field["role"]) for field in fields] == [
        ("Edge of the tumour", "hot spot"),
        ("", "hot spot"),
    ]
    page.evaluate(ZOOM, 6)
    page.get_by_role("button", name="Show Edge of the tumour").click()
    left, _, right, _ = fields[0]["box"]
    view = page.evaluate("document.querySelector('.nv-root').viewer.view")
    assert 0.5 < (right - left) * view["scale"] / view["height"] < 1


def test_the_best_hot_spot_is_chosen_and_the_heat_map_goes_off(desk: Desk, page: Page) -> None:
    desk.choose_protocol("net hot spot")
    page.get_by_role("button", name="Find hot spots").click()
    spots = page.locator(".nv-spots li")
    expect(spots.first).to_contain_text("0.20 mm²")
    assert 1 <= spots.count() <= 5
    expect(page.locator(".nv-heat-key")).to_be_visible()
    inked = "() => { const c = document.querySelector('.nv-root').viewer.heat.canvas; return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v); }"
    assert page.evaluate(inked)
    page.get_by_label("Heat map over the image").uncheck()
    assert not page.evaluate(inked)
    shown = spots.first.locator(".nv-field-counts").inner_text()
    choose = spots.first.get_by_role("button")
    choose.click()
    primary = desk.shows_primary()
    assert shown.startswith(f"{primary['positive']:,} of {primary['tumour']:,}")
    expect(choose).to_have_text("✓ chosen")
    choose.dispatch_event("click")  # does nothing
    sheet = desk.state()["sheet"]
    [spot] = [field for field in sheet["fields"] if field["role"] == "hot spot"]
    page.get_by_label("Count at least").select_option("2000")
    expect(page.get_by_label("Window of the search").locator("option").last).to_have_text("until 2,000 tumour nuclei")

    left, top, right, bottom = spot["box"]
    inside = (n for n in desk.counted() if left < n[1] < right and top < n[2] < bottom and n[3] == 0)
    desk.focus()
    page.mouse.move(*desk.at(*next(inside)[1:3]))
    desk.key("x")
    expect(page.locator(".nv-hot")).to_have_class(re.compile("nv-old"))
    desk.shows_primary()
    best = httpx.get(f"{desk.app.url}nucleus/api/images/{desk.image}/hotspots?area_mm2=0.2").json()["spots"][0]
    expect(spots.first).to_contain_text(f"{best['positive']:,} of {best['tumour']:,}")  # looked for again
    expect(page.locator(".nv-hot")).not_to_have_class(re.compile("nv-old"))


def test_nothing_is_added_while_another_image_is_on_its_way(
    desk: Desk, page: Page, store: Workplace, drawn: LabelledImage
) -> None:
    other = seed_case(store, drawn.rgb, candidates(drawn), "On its way")
    page.evaluate(
        """(id) => { const { viewer } = document.querySelector('.nv-root');
        viewer.choose(id); viewer.desk.add([10, 10, 200, 200]); viewer.desk.addSquare(); viewer.desk.hotSpots.open(); }""",
        other,
    )
    expect(page.locator(".nv-info")).to_have_text(re.compile("The image is still loading"))
    for image in (desk.image, other):
        case = httpx.get(f"{desk.app.url}nucleus/api/images/{image}").json()["case"]
        sheet = httpx.get(f"{desk.app.url}nucleus/api/cases/{case}").json()["sheet"]
        assert [field["box"] for field in sheet["fields"]] == [None]
    Desk(page, desk.app, other).open()
    expect(page.locator(".nv-hot")).to_be_hidden()


def test_a_signed_case_is_locked_until_it_is_reopened_with_a_reason(desk: Desk, page: Page) -> None:
    page.get_by_role("button", name="Sign off…").click()
    expect(page.locator(".nv-confirm")).to_contain_text("Ki67 labelling index")
    expect(page.get_by_role("button", name="Sign", exact=True)).to_be_disabled()
    page.get_by_label("Reader", exact=True).fill("A. Nowak")
    page.get_by_role("button", name="Sign", exact=True).click()
    expect(page.locator(".nv-signed")).to_contain_text("Signed off by A. Nowak")
    signature = desk.state()["signature"]
    expect(page.locator(".nv-signed")).to_contain_text(f"revision {signature['revision']} · {signature['sha256'][:12]}")
    expect(page.locator(f".nv-list [data-id='{desk.image}'] .nv-short")).to_contain_text("✓")
    before = desk.counts()
    one = desk.counted()[0]
    desk.focus()
    page.mouse.move(*desk.at(one[1], one[2]))
    desk.key("x", "Control+z")
    expect(page.locator(".nv-info")).to_have_text(re.compile(re.escape(LOCKED)))
    assert desk.counts() == before
    expect(page.locator("#protocol")).to_be_disabled()
    expect(page.get_by_role("button", name="Drag a field").last).to_be_disabled()
    page.get_by_role("button", name="Reopen…").click()
    expect(page.get_by_role("button", name="Reopen", exact=True)).to_be_disabled()
    page.get_by_label("Reason for reopening").fill("Mitoses were missing")
    page.get_by_role("button", name="Reopen", exact=True).click()
    expect(desk.root).to_have_attribute("data-signed", "no")
    assert desk.state()["revision"] == signature["revision"] + 1
    desk.focus()
    page.mouse.move(5, 5)
    page.mouse.move(*desk.at(one[1], one[2]))
    desk.key("x")
    assert sum(desk.counts()) == sum(before) - 1


def test_two_windows_never_overwrite_each_other(desk: Desk, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    hers = Desk(context.new_page(), desk.app, desk.image).open()
    hers.choose_protocol("net hot spot")
    hers.page.get_by_label("Mitoses per 2 mm²").fill("3")
    hers.settled()
    desk.page.locator(".nv-specimen summary").click()
    desk.page.evaluate(
        "clearTimeout(document.querySelector('.nv-root').viewer.timer)"
    )  # it has not heard of her changes
    desk.page.get_by_label("Block", exact=True).fill("B2")
    expect(desk.page.get_by_label("Mitoses per 2 mm²")).to_have_value("3")
    sheet = desk.state()["sheet"]
    assert (sheet["block"], sheet["protocol"], sheet["mitoses_per_2mm2"]) == ("B2", "net hot spot", 3)
    expect(desk.page.locator(".nv-error")).to_have_count(0)

    desk.page.get_by_role("button", name="0.2 mm² in view").click()
    hers.page.evaluate("document.querySelector('.nv-root').viewer.refresh()")
    expect(hers.page.locator(".nv-fields-list li")).to_have_count(2)
    desk.settled()
    hers.page.get_by_role("button", name="Remove the field: Hot spot 1").click()
    hers.settled()
    desk.page.get_by_label("Name of field 2").fill("Edge")
    expect(desk.page.locator(".nv-error")).to_contain_text("Not kept: the change of Hot spot 1")
    expect(desk.page.locator(".nv-fields-list li")).to_have_count(1)
    context.close()


def test_a_change_whose_answer_was_lost_is_made_once(desk: Desk, page: Page) -> None:
    sent: list[str] = []

    def lose_the_first(route: Route) -> None:
        if route.request.method == "PUT" and not sent:
            sent.append("PUT")
            route.fetch()  # it reaches the server
            return route.abort()
        return route.continue_()

    page.route("**/api/cases/*", lose_the_first)
    page.get_by_role("button", name="0.2 mm² in view").click()
    page.get_by_label("Block", exact=True).evaluate("(node) => { node.closest('details').open = true; }")
    page.get_by_label("Block", exact=True).fill("B7")  # meanwhile
    expect(page.locator(".nv-case-saved")).to_contain_text("saved ")
    sheet = desk.state()["sheet"]
    page.unroute("**/api/cases/*")
    assert sent
    assert (len(sheet["fields"]), sheet["block"]) == (1, "B7")


def test_what_the_server_did_not_take_yet_is_said_and_sent_by_a_later_page(desk: Desk, page: Page) -> None:
    page.route("**/api/cases/*", lambda route: route.abort())
    page.locator("#protocol").select_option("breast hot spot")
    expect(page.locator(".nv-case-saved")).to_have_text("not saved yet")
    page.reload()
    page.unroute("**/api/cases/*")
    expect(page.locator("#protocol")).to_have_value("breast hot spot")
    expect(page.locator(".nv-case-saved")).to_contain_text("saved ")
    assert desk.state()["sheet"]["protocol"] == "breast hot spot"


def test_images_are_put_together_and_taken_apart(
    desk: Desk, page: Page, store: Workplace, drawn: LabelledImage
) -> None:
    second = seed_case(store, drawn.rgb, candidates(drawn), "Second level")
    Desk(page, desk.app, second).open()
    expect(page.locator(".nv-panel h2")).to_have_text("Second level")
    page.get_by_text("Move or remove this image").click()
    first = httpx.get(f"{desk.app.url}nucleus/api/images/{desk.image}").json()["case"]
    assert desk.case != first
    page.get_by_label("Case to add this image to").select_option(str(first))
    page.get_by_role("button", name="Add", exact=True).click()
    group = page.locator(f".nv-group-of[data-case='{first}']")
    expect(group.locator("button")).to_have_count(2)
    assert len(desk.state()["images"]) == 2
    expect(page.locator(".nv-fields-list li")).to_have_count(2)
    page.get_by_role("button", name="Make it a case of its own").click()
    expect(group).to_have_count(0)


def test_annotations_of_qupath_come_in(desk: Desk, page: Page, tmp_path: Path) -> None:
    def points(name: str, places: list[list[float]]) -> dict[str, Any]:
        properties = {"objectType": "annotation", "classification": {"name": name, "color": [200, 0, 0]}}
        return {"type": "Feature", "geometry": {"type": "MultiPoint", "coordinates": places}, "properties": properties}

    file = tmp_path / "annotations.geojson"
    features = [points("Positive", [[100.5, 100.5], [200.5, 300.5]]), points("Negative", [[400.5, 420.5]] * 1)]
    line = points("Scale", [])
    line["geometry"] = {"type": "LineString", "coordinates": [[1, 1], [9, 9]]}
    text = json.dumps({"type": "FeatureCollection", "features": [*features, line]}, indent=1)
    file.write_text(text.replace('"objectType"', '"area": NaN, "objectType"'), "utf-8")  # as QuPath writes it
    bad = tmp_path / "notes.json"
    bad.write_text("no annotations", "utf-8")
    page.get_by_role("button", name="Import from QuPath…").click()
    page.get_by_label("GeoJSON file of QuPath").set_input_files(bad)
    expect(page.locator(".nv-dialog-said")).to_contain_text("notes.json: The file is no JSON")
    page.get_by_label("GeoJSON file of QuPath").set_input_files(file)
    expect(page.get_by_label("Positive becomes")).to_have_value("positive")
    expect(page.get_by_label("Negative becomes")).to_have_value("negative")
    notes = page.locator(".nv-qupath .nv-import-notes").inner_text()
    assert notes
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator(".nv-info")).to_contain_text(notes)
    expect(page.locator(".nv-counts")).to_have_text("2 positive of 3 tumour nuclei")
    wait_scored(page)
    assert desk.counts() == (2, 1, 0)
    xy = [n[:2] for n in desk.result()["nuclei"]]
    assert xy == [pytest.approx(place, abs=0.01) for place in ([100, 100], [200, 300], [400, 420])]
    assert desk.result()["version"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
