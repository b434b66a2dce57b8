"""What a pathologist sees and does, in a real Chromium."""

from __future__ import annotations

import io
import json
import re
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet.predictor import Predictor
from tests.e2e.pages import INKED, open_page, save, upload, wait_scored
from tests.e2e.running import RunningApp, running_app

pytestmark = pytest.mark.browser
RUO = "For research use only. Not for use in diagnostic procedures."


# For every positive nucleus in view with none near it: how far its drawn disc's centre is from where it must be, by
# OpenSeadragon's own arithmetic rather than the overlay's, in screen pixels.
OFFSETS = """() => {
  const v = document.querySelector('.nv-root').viewer, item = v.osd.world.getItemAt(0), d = window.devicePixelRatio;
  const at = [...v.points.classes].map((_, i) => item.imageToViewerElementCoordinates(
    new OpenSeadragon.Point(v.points.xy[2 * i] + 0.5, v.points.xy[2 * i + 1] + 0.5)).times(d));
  const { width, height } = v.overlay.canvas, data = v.overlay.g.getImageData(0, 0, width, height).data, R = 13, found = [];
  at.forEach((p, i) => {
    if (v.points.classes[i] !== 0 || p.x < R || p.y < R || p.x > width - R || p.y > height - R) return;
    if (at.some((q, k) => k !== i && Math.abs(q.x - p.x) < 2 * R && Math.abs(q.y - p.y) < 2 * R)) return;
    let n = 0, sx = 0, sy = 0;
    for (let y = Math.round(p.y) - R; y <= Math.round(p.y) + R; y++) for (let x = Math.round(p.x) - R; x <= Math.round(p.x) + R; x++) {
      if (data[(y * width + x) * 4] > 200 && data[(y * width + x) * 4 + 2] < 60) { n++; sx += x + 0.5; sy += y + 0.5; }
    }
    found.push(n ? Math.hypot(sx / n - p.x, sy / n - p.y) / d : 99);
  });
  return found;
}"""
# Bring the n-th positive nucleus to the middle.
LOOK_AT = """([n, zoom]) => {
  const v = document.querySelector('.nv-root').viewer, p = v.osd.viewport, item = v.osd.world.getItemAt(0);
  const i = [...v.points.classes.keys()].filter((k) => v.points.classes[k] === 0)[n];
  p.zoomTo(p.getHomeZoom() * zoom, null, true);
  p.panTo(item.imageToViewportCoordinates(v.points.xy[2 * i], v.points.xy[2 * i + 1]), true);
  v.osd.forceRedraw();
  v.draw();
}"""
ZOOM = """(f) => { const v = document.querySelector('.nv-root').viewer; const p = v.osd.viewport;
  p.zoomTo(p.getHomeZoom() * f, null, true); v.osd.forceRedraw(); v.draw(); }"""


def test_a_tab_keeps_no_connection_open(app: RunningApp) -> None:
    # A browser has six for a server: with a heartbeat for every tab, the next one waits for ever.
    assert httpx.get(f"{app.url}config").json()["connect_heartbeat"] is False


def test_an_app_that_nobody_uses_leaves_the_machine_alone(seeded_app: RunningApp) -> None:
    assert seeded_app.process is not None
    status = Path(f"/proc/{seeded_app.process.pid}/status")
    if not status.exists():
        pytest.skip("counts how often a process wakes up as Linux tells it")

    def count() -> int:
        return int(re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", status.read_text(), re.M)[0])

    before = count()
    time.sleep(2)
    assert count() - before < 200  # Gradio alone, as it comes: 1,700


def test_first_start_shows_a_scored_synthetic_field(page: Page, app: RunningApp) -> None:
    open_page(page, app)
    wait_scored(page)
    panel = page.locator(".nv-panel")
    expect(panel).to_contain_text("Demo field (synthetic, no patient)")
    expect(panel).to_contain_text("Synthetic field drawn by this app")
    expect(panel).to_contain_text("Ki67 labelling index")
    expect(page.get_by_text(RUO).first).to_be_visible()
    case = app.images()[-1]
    counts: dict[str, int] = case["counts"]  # type: ignore[assignment]
    expect(page.locator(".nv-counts")).to_have_text(
        f"{counts['positive']:,} positive of {counts['positive'] + counts['negative']:,} tumour nuclei"
    )
    expect(page.locator(".nv-value")).to_have_text(f"{case['index_percent']:.1f}")
    expect(page.locator(".nv-root")).to_have_attribute("data-n", str(sum(counts.values())))
    truth = draw_field(FieldRecipe(), np.random.default_rng(7)).nuclei.counts()
    assert counts["positive"] == pytest.approx(truth.positive, rel=0.15)


def test_an_image_without_pixel_size_is_asked_for_it_then_scored(
    page: Page, app: RunningApp, field: LabelledImage, tmp_path: Path, shipped: Predictor
) -> None:
    open_page(page, app)
    upload(page, save(field.rgb, tmp_path / "P-17 hot spot.png"))
    expect(page.locator(".nv-state")).to_contain_text("states no pixel size")
    expect(page.locator("#label textarea, #label input").first).to_have_value("P-17 hot spot.png")
    page.locator("#score").click()
    expect(page.locator(".nv-error")).to_contain_text("about 0.5 for 20×")
    page.locator("#mpp input").fill("50")
    page.locator("#score").click()
    expect(page.locator(".nv-error")).to_contain_text("50 µm/px is not possible")
    page.locator("#mpp input").fill("0.5")
    page.locator("#score").click()
    wait_scored(page)
    counts = shipped.find(field.rgb, 0.5).counts()
    expect(page.locator(".nv-counts")).to_have_text(f"{counts.positive} positive of {counts.tumour} tumour nuclei")
    expect(page.locator(".nv-scale")).to_contain_text("0.500 µm/px (stated by the user)")
    # Uploads do not stay in Gradio's cache, which has no owner.
    left = [p for p in (app.data_dir / "tmp").rglob("*") if p.is_file() and p.stat().st_size]
    assert left == []


def test_marks_lie_on_their_nuclei_at_every_zoom(page: Page, app: RunningApp) -> None:
    open_page(page, app, "?image=1")
    wait_scored(page)
    for zoom in (3, 5, 8):
        offsets = [
            offset
            for nucleus in range(6)
            for offset in page.evaluate(LOOK_AT, [nucleus, zoom]) or page.evaluate(OFFSETS)
        ]
        assert len(offsets) >= 6
        assert max(offsets) < 1.0


def test_legend_palette_and_hold_h(page: Page, app: RunningApp) -> None:
    open_page(page, app, "?image=1")
    wait_scored(page)
    page.evaluate(ZOOM, 1)
    everything = page.evaluate(INKED)
    page.locator("input[data-class=negative]").uncheck()
    without_negative = page.evaluate(INKED)
    assert 0 < without_negative < 0.7 * everything
    page.locator("input[data-class=negative]").check()
    assert page.evaluate(INKED) == everything
    page.locator(".nv-stage").click()
    page.keyboard.down("h")
    assert page.evaluate(INKED) == 0
    page.keyboard.up("h")
    assert page.evaluate(INKED) == everything
    page.get_by_label("Palette").select_option("safe")
    expect(page.locator(".nv-root")).to_have_attribute("data-palette", "safe")
    page.reload()
    wait_scored(page)
    assert page.get_by_label("Palette").input_value() == "safe"
    before = page.evaluate("document.querySelector('.nv-root').viewer.osd.viewport.getZoom()")
    page.locator(".nv-stage").focus()
    page.keyboard.press("+")
    assert page.evaluate("document.querySelector('.nv-root').viewer.osd.viewport.getZoom()") > before


def test_bad_files_are_named_with_the_reason_and_the_good_ones_go_on(
    page: Page, app: RunningApp, field: LabelledImage, tmp_path: Path
) -> None:
    good = save(field.rgb, tmp_path / "good.tif", dpi=(50_800, 50_800))
    (tmp_path / "notes.png").write_text("not an image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes(save(field.rgb, tmp_path / "whole.png").read_bytes()[:20_000])
    dot = save(np.zeros((1, 1, 3), np.uint8), tmp_path / "dot.bmp")
    open_page(page, app)
    before = len(app.images())
    upload(page, tmp_path / "notes.png", good, tmp_path / "empty.jpg", tmp_path / "cut.png", dot)
    expect(page.locator(".nv-error")).to_have_count(4)
    for name, reason in (
        ("notes.png", "Accepted are PNG"),
        ("empty.jpg", "empty"),
        ("cut.png", "damaged"),
        ("dot.bmp", "1 × 1"),
    ):
        expect(page.locator(".nv-error", has_text=name)).to_contain_text(reason)
    wait_scored(page)
    expect(page.locator(".nv-panel h2")).to_have_text("good.tif")
    assert len(app.images()) == before + 1
    page.locator(".nv-error button").first.click()
    expect(page.locator(".nv-error")).to_have_count(3)


def test_a_hostile_name_is_shown_as_text_and_can_be_replaced(
    page: Page, app: RunningApp, tmp_path: Path, field: LabelledImage
) -> None:
    open_page(page, app)
    upload(page, save(field.rgb[:80, :80], tmp_path / "a.png"))
    label = page.locator("#label textarea, #label input").first
    expect(label).to_have_value("a.png")
    for hostile in ("<img src=x onerror='window.hacked=1'>", "${document.body.dataset.hacked=1}", "P-18"):
        label.fill(hostile)
        label.press("Tab")
        expect(page.locator(".nv-panel h2")).to_have_text(hostile)
        expect(page.locator(".nv-list button").first.locator(".nv-label")).to_have_text(hostile)
    assert page.evaluate("window.hacked === undefined && document.body.dataset.hacked === undefined")


def test_files_with_hostile_names_arrive_harmless(page: Page, app: RunningApp, field: LabelledImage) -> None:
    buffer = io.BytesIO()
    Image.fromarray(field.rgb[:70, :70]).save(buffer, "PNG")
    names = [
        "../../../etc/cron.d/x.png",
        "a'b\"c;--.png",
        "<script>window.hacked=1</script>.png",
        "x" * 300 + ".png",
        "😀.png",
    ]
    open_page(page, app)
    before = len(app.images())
    files = [{"name": name, "mimeType": "image/png", "buffer": buffer.getvalue()} for name in names]
    page.set_input_files("#upload input[type=file]", files)
    expect(page.locator(".nv-list button")).to_have_count(before + len(names))
    assert page.evaluate("window.hacked === undefined")
    labels = [str(case["label"]) for case in app.images()[: len(names)]]
    assert all(1 <= len(label) <= 120 and "/" not in label for label in labels)
    assert not list(app.data_dir.parent.rglob("cron.d"))


def test_earlier_cases_reopen_and_the_address_remembers(page: Page, app: RunningApp) -> None:
    open_page(page, app)
    page.locator(".nv-list button", has_text="Demo field").click()
    expect(page.locator(".nv-panel h2")).to_contain_text("Demo field")
    wait_scored(page)
    expect(page.locator("#mpp input")).to_have_value("0.5")
    assert "image=1" in page.url
    page.reload()
    wait_scored(page)
    expect(page.locator(".nv-panel h2")).to_contain_text("Demo field")
    page.goto(app.url + "?image=99999")
    expect(page.locator(".nv-error")).to_contain_text("There is no image 99999")


def test_tiles_that_failed_come_when_the_server_answers_again(
    page: Page, app: RunningApp, tmp_path: Path, field: LabelledImage
) -> None:
    is_away = [False]
    page.route(
        re.compile(r"/nucleus/tiles/.*_files/"), lambda route: route.abort() if is_away[0] else route.continue_()
    )
    open_page(page, app)
    upload(page, save(np.tile(field.rgb, (4, 4, 1)), tmp_path / "several tiles.png"))
    expect(page.locator(".nv-panel h2")).to_contain_text("several tiles.png")
    page.wait_for_function("document.querySelector('.nv-root').viewer.osd.world.getItemAt(0)?.getFullyLoaded()")
    is_away[0] = True
    page.evaluate(ZOOM, 4)
    missing = "document.querySelector('.nv-root').viewer.tiles.missing.length"
    page.wait_for_function(f"{missing} > 0")
    is_away[0] = False
    page.wait_for_function(
        f"""{missing} === 0 && (() => {{ const item = document.querySelector('.nv-root').viewer.osd.world.getItemAt(0), most = item.source.maxLevel;
        return item.getFullyLoaded() && item.getTilesToDraw().flat().some((shown) => (shown.tile ?? shown).level === most); }})()""",
        timeout=30_000,
    )


def test_downloads_hold_what_the_page_shows(page: Page, app: RunningApp, tmp_path: Path) -> None:
    open_page(page, app, "?image=1")
    wait_scored(page)
    with page.expect_download() as started:
        page.get_by_role("link", name="JSON", exact=True).click()
    started.value.save_as(tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    expect(page.locator(".nv-value")).to_have_text(report["score"]["primary"]["shown"])
    assert report["notice"] == RUO
    page.get_by_text("More files").click()
    with page.expect_download() as started:
        page.get_by_role("link", name="CSV of nuclei").click()
    started.value.save_as(tmp_path / "nuclei.csv")
    nuclei = sum(len(field["nuclei"]) for field in report["fields"])
    assert len((tmp_path / "nuclei.csv").read_text("utf-8").splitlines()) == 1 + nuclei


def test_the_app_answers_under_its_own_name_only(app: RunningApp) -> None:
    assert httpx.get(app.url, headers={"host": "rebound.example"}).status_code == 400
    assert httpx.get(app.url).status_code == 200


def test_what_is_no_ki67_field_is_not_counted_until_the_reader_insists(
    page: Page, app: RunningApp, field: LabelledImage, tmp_path: Path
) -> None:
    open_page(page, app)
    upload(page, save(255 - field.rgb, tmp_path / "inverted.png", dpi=(50_800, 50_800)))
    expect(page.locator(".nv-score h2")).to_have_text("inverted.png")
    expect(page.locator(".nv-refused")).to_have_text("Not counted", timeout=60_000)
    expect(page.locator(".nv-warnings")).to_contain_text("ground is dark")
    expect(page.locator(".nv-warnings")).to_contain_text("press Score again")
    expect(page.locator(".nv-cases [aria-current=true]")).to_contain_text("not counted")
    assert page.locator(".nv-index").count() == 0
    page.locator("#score").click()
    expect(page.locator(".nv-counts")).to_be_visible(timeout=60_000)
    expect(page.locator(".nv-refused")).to_have_count(0)
    expect(page.locator(".nv-warnings")).to_contain_text("ground is dark")


def test_a_worker_that_cannot_start_is_told_on_the_page(page: Page, field: LabelledImage, tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"no weights")
    with running_app(tmp_path / "data", {"NUCLEUS_WEIGHTS": str(tmp_path / "broken.safetensors")}) as app:
        page.goto(app.url)
        expect(page.locator(".nv-root")).to_have_attribute("data-connected", "no-worker")
        expect(page.locator(".nv-state")).to_have_text("Waiting for the scoring worker…")
        upload(page, save(field.rgb, tmp_path / "later.png", dpi=(50_800, 50_800)))
        expect(page.locator(".nv-state")).to_have_text("Waiting for the scoring worker… 1 image comes first.")


def test_a_crash_in_the_middle_loses_no_job_and_the_page_comes_back(page: Page, tmp_path: Path) -> None:
    with running_app(tmp_path / "data", {"NUCLEUS_DEMO": "no"}) as app:
        open_page(page, app)
        expect(page.locator(".nv-empty")).to_contain_text("Drop an image")
        part = draw_field(FieldRecipe(width_px=575, height_px=575), np.random.default_rng(8)).rgb
        upload(page, save(np.tile(part, (2, 4, 1)), tmp_path / "slide.png", dpi=(50_800, 50_800)))
        expect(page.locator(".nv-state")).to_contain_text(
            re.compile(r"[1-3] of 4 tiles done, about \d+ s left"), timeout=120_000
        )
        page.reload()
        expect(page.locator(".nv-state")).to_contain_text("of 4 tiles done")
        app.kill()
        expect(page.locator(".nv-root")).to_have_attribute("data-connected", "no")
        app.start()
        expect(page.locator(".nv-root")).to_have_attribute("data-connected", "yes")
        wait_scored(page)
        expect(page.locator(".nv-value")).to_be_visible()
