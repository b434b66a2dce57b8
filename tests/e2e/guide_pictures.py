"""The pictures of docs/guide.md, taken from the running app on a synthetic field: ``python -m tests.e2e.guide_pictures``."""

from __future__ import annotations

import tempfile
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pypdfium2
from PIL import Image
from playwright.sync_api import Page, expect

from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.services.slides import take_in_slide
from nucleus_app.services.workplace import open_workplace
from nucleus_app.settings import Settings
from tests.e2e.bench import Bench
from tests.e2e.running import SEEDED, RunningApp, free_port, open_chromium
from tests.e2e.seeding import grade_candidates, seed_case
from tests.imaging.slide_files import write_slide

PICTURES = Path(__file__).parent.parent.parent / "docs" / "pictures"
COLOURS = 256
LOOK = """([zoom, x, y]) => { const v = document.querySelector('.nv-root').viewer, p = v.osd.viewport;
  p.zoomTo(p.getHomeZoom() * zoom, null, true); p.panTo(new OpenSeadragon.Point(x, y), true); v.osd.forceRedraw(); v.draw(); }"""
CORNER = (110, 130, 300, 300)
"""The part of the viewer that shows the marks of every palette: left, top, width, height."""


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    field = draw_field(FieldRecipe(), np.random.default_rng(7))
    with tempfile.TemporaryDirectory() as folder:
        app = RunningApp(Path(folder), free_port(), SEEDED)
        workplace = open_workplace(Settings(data_dir=Path(folder), demo=False))
        image = seed_case(
            workplace, field.rgb, grade_candidates(field.nuclei, np.random.default_rng(1)), "Synthetic field"
        )
        large = draw_field(FieldRecipe(width_px=2400, height_px=1800, positive_share=0.05), np.random.default_rng(8))
        hot = seed_case(
            workplace, large.rgb, grade_candidates(large.nuclei, np.random.default_rng(1)), "Synthetic overview"
        )
        drawn = take_in_slide(workplace, write_slide(Path(folder) / "slide.svs", draw_slide(), mpp=0.5), "S26-4711")
        workplace.jobs.close()
        app.start()
        try:
            with open_chromium() as browser:
                page = browser.new_page(viewport={"width": 1280, "height": 720})
                bench = Bench(page, app, image).open()
                correct(bench)
                keep(page.screenshot(), PICTURES / "review.png")
                keep(draw_palettes(page), PICTURES / "marks.png")
                grade(Bench(page, app, hot).open())
                keep(page.screenshot(), PICTURES / "case.png")
                keep(draw_report(app, hot), PICTURES / "report.png")
                choose_fields(page, app, drawn.id)
                keep(page.screenshot(), PICTURES / "slide.png")
        finally:
            app.stop()


def correct(bench: Bench) -> None:
    """Some of everything: classed, removed, added, left out."""
    page = bench.page
    page.evaluate(LOOK, [2.6, 0.47, 0.5])
    page.wait_for_timeout(800)
    page.get_by_label("Reader", exact=True).fill("A. N.")
    page.get_by_label("Reader", exact=True).press("Tab")
    bench.focus()
    near = [n for n in bench.counted() if _is_in_corner(page, n[1], n[2])]
    for nucleus, key in zip(near[2:14:3], "1232", strict=False):
        page.mouse.move(*bench.at(nucleus[1], nucleus[2]))
        bench.key(key)
    bench.key("a", "1")
    page.keyboard.down("Alt")
    for nucleus in near[4:12:4]:
        page.mouse.click(*bench.at(nucleus[1] + 9, nucleus[2] + 9))
    page.keyboard.up("Alt")
    bench.key("b")
    page.locator("[data-label=exclude]").click()
    left, top = page.evaluate("([x, y]) => { const t = document.querySelector('.nv-root').viewer.tools.toImage({ x, y }); return [t.x, t.y]; }", [330, 360])  # fmt: skip
    bench.drag((left, top), (left + 40, top + 12), (left + 70, top - 6))
    bench.key("v")
    page.mouse.move(5, 5)
    bench.saved()
    page.locator(".nv-section summary", has_text="History").click()
    page.evaluate("document.querySelector('.nv-review').scrollIntoView({ block: 'nearest' })")


def grade(bench: Bench) -> None:
    """A neuroendocrine tumour with its hottest square chosen."""
    page = bench.page
    page.locator("#protocol").select_option("net hot spot")
    page.get_by_role("button", name="Find hot spots").click()
    page.get_by_role("button", name="Choose").first.click()
    expect(page.locator(".nv-badge").first).to_be_visible()
    page.mouse.move(5, 5)
    page.wait_for_timeout(2000)
    page.evaluate("document.querySelector('.nv-panel').scrollTop = 0")


def draw_slide() -> np.ndarray:
    """An oval of tissue whose share of positive nuclei grows towards one place."""
    side, columns, rows = 600, 16, 12
    shares = np.linspace(0.02, 0.6, 6)
    fields = [
        draw_field(FieldRecipe(side, side, positive_share=s), np.random.default_rng(n)).rgb
        for n, s in enumerate(shares)
    ]
    x, y = np.meshgrid(np.arange(columns * side), np.arange(rows * side))
    is_tissue = ((x / side - 8) / 6.6) ** 2 + ((y / side - 6) / 4.8 + 0.12 * np.sin(x / 700)) ** 2 < 1
    slide = np.full((rows * side, columns * side, 3), 243, np.uint8)
    for row in range(rows):
        for column in range(columns):
            far = np.hypot(column - 10.5, row - 4.5)
            field = fields[int(np.clip(5 - far, 0, 5))]
            slide[row * side : (row + 1) * side, column * side : (column + 1) * side] = np.rot90(
                field, (row + column) % 4
            )
    slide[~is_tissue] = 243
    return slide


def choose_fields(page: Page, app: RunningApp, slide: int) -> None:
    """Two fields are cut, the brownest place is the draft."""
    for box in ([3000, 3600, 3894, 4494], [5200, 4600, 6094, 5494]):
        httpx.post(f"{app.url}nucleus/api/slides/{slide}/fields", json={"box": box}, timeout=60).raise_for_status()
    page.goto(f"{app.url}?slide={slide}")
    picker = page.get_by_role("dialog", name="Choose fields")
    expect(picker).to_have_attribute("data-ready", "yes")
    picker.get_by_label("0.2 mm²").check()
    picker.get_by_label("Show where the slide is brown").check()
    picker.get_by_role("list", name="Brownest places").get_by_role("button").first.click()
    picker.get_by_role("application").press("f")
    page.wait_for_timeout(2000)


def draw_report(app: RunningApp, image: int) -> bytes:
    """The first two pages of the case's PDF, side by side."""
    case = next(listed["case"] for listed in app.images() if listed["id"] == image)
    answer = httpx.get(f"{app.url}nucleus/api/cases/{case}/report.pdf", timeout=60).raise_for_status()
    document = pypdfium2.PdfDocument(answer.content)
    pages = [document[n].render(scale=1.0).to_pil() for n in (0, 1)]
    return _join(pages, "lightgrey")


def _join(shots: list[Image.Image], ground: str) -> bytes:
    """Pictures beside each other, as PNG."""
    joined = Image.new("RGB", (sum(s.width for s in shots) + 8 * (len(shots) - 1), shots[0].height), ground)
    for i, shot in enumerate(shots):
        joined.paste(shot, (i * (shot.width + 8), 0))
    buffer = BytesIO()
    joined.save(buffer, "PNG")
    return buffer.getvalue()


def _is_in_corner(page: Page, x: float, y: float) -> bool:
    left, top = page.evaluate(
        "([x, y]) => { const { view } = document.querySelector('.nv-root').viewer; return [(x + 0.5) * view.scale + view.x, (y + 0.5) * view.scale + view.y]; }",
        [x, y],
    )
    a, b, width, height = CORNER
    return bool(a < left < a + width and b < top < b + height)


def draw_palettes(page: Page) -> bytes:
    """The same marks in all palettes, side by side."""
    box = page.locator(".nv-stage").bounding_box()
    assert box is not None
    left, top, width, height = CORNER
    shots = []
    for name in ("paper", "qupath", "safe"):
        page.get_by_label("Palette").select_option(name)
        clip = {"x": box["x"] + left, "y": box["y"] + top, "width": width, "height": height}
        shots.append(Image.open(BytesIO(page.screenshot(clip=clip))))  # type: ignore[arg-type]
    return _join(shots, "white")


def keep(png: bytes, path: Path) -> None:
    """Small enough for a repository."""
    image = Image.open(BytesIO(png)).convert("RGB")
    image.quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)


if __name__ == "__main__":
    main()
