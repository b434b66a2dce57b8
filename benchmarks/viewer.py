"""How fast correcting feels: a real Chromium without a GPU on images with 2,000 to 100,000 nuclei.

``python -m benchmarks.viewer`` prints one table. Times are of this machine; the JSON names it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, expect

from benchmarks.scoring import describe_machine
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.services.workplace import open_workplace
from nucleus_app.settings import Settings
from tests.e2e.running import RunningApp, free_port, open_chromium
from tests.e2e.seeding import seed_case

SIDE_PX = 4000
SIZES = (2_000, 20_000, 100_000)
CLICKS = 60
BARS = {
    "first_tile_ms": 1000,
    "all_points_ms": 1000,
    "click_visible_ms": 40,
    "click_saved_ms": 60,
    "frames_per_s": 20,
    "heap_mb": 20,
}

WATCH = """() => {
  const v = document.querySelector('.nv-root').viewer, m = (window.measured = { visible: [], saved: [] });
  let down = 0;
  v.osd.canvas.addEventListener('pointerup', (event) => { down = event.timeStamp; }, true);
  const commit = v.commit.bind(v), { handlers } = v.session.outbox, before = handlers.onChange, open = [];
  v.commit = (op) => { const from = down; open.push(from); commit(op);
    requestAnimationFrame(() => requestAnimationFrame((now) => m.visible.push(performance.now() - from))); };
  handlers.onChange = (...answer) => { before(...answer);
    if (!v.session.outbox.pending) for (const from of open.splice(0)) m.saved.push(performance.now() - from); };
}"""
# Pan and zoom in every frame for three seconds; frames per second.
FLY = """() => new Promise((done) => {
  const v = document.querySelector('.nv-root').viewer, viewport = v.osd.viewport, start = performance.now();
  let frames = 0;
  viewport.goHome(true);
  const step = (now) => {
    frames++;
    viewport.zoomBy(frames % 120 < 60 ? 1.02 : 1 / 1.02, null, true);
    viewport.panBy(new OpenSeadragon.Point(0.002 * Math.sin(frames / 20), 0.002 * Math.cos(frames / 20)), true);
    if (now - start < 3000) requestAnimationFrame(step);
    else { viewport.goHome(true); done((1000 * frames) / (now - start)); }
  };
  requestAnimationFrame(step);
})"""
LOADED = """() => new Promise((done) => { const wait = () => {
  const v = document.querySelector('.nv-root')?.viewer;
  if (v?.osd.world.getItemAt(0) && !window.firstTile) { window.firstTile = 0; v.osd.addHandler('tile-drawn', () => { window.firstTile ||= performance.now(); }); v.osd.forceRedraw(); }
  if (v?.root.dataset.ready && window.firstTile) return requestAnimationFrame(() => done([window.firstTile, performance.now()]));
  setTimeout(wait, 5); }; wait(); })"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/viewer.local.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workplace = open_workplace(Settings(data_dir=Path(folder), demo=False))
        rgb = draw_large_field(SIDE_PX)
        warming = seed_case(workplace, rgb, scatter_nuclei(2_000, SIDE_PX), "to warm up")
        ids = {n: seed_case(workplace, rgb, scatter_nuclei(n, SIDE_PX), f"{n} nuclei") for n in options.sizes}
        workplace.jobs.close()
        app = RunningApp(Path(folder), free_port(), {"NUCLEUS_DEMO": "no", "NUCLEUS_WORKER": "external"})
        app.start()
        try:
            with open_chromium() as browser:
                measure(browser, app.url, warming)  # warms the server and the browser's caches
                rows = {str(n): measure(browser, app.url, image_id) for n, image_id in ids.items()}
        finally:
            app.stop()
    machine = {k: v for k, v in describe_machine().items() if k not in ("torch", "openvino")}
    result = {"machine": machine | {"when": datetime.now(UTC).isoformat(timespec="seconds")}, "rows": rows}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=1), "utf-8")
    print_table(rows)


def draw_large_field(side_px: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A synthetic field repeated to a square of ``side_px``."""
    field = draw_field(FieldRecipe(), np.random.default_rng(7)).rgb
    times = -(-side_px // field.shape[0])
    return np.tile(field, (times, times, 1))[:side_px, :side_px]


def scatter_nuclei(n: int, side_px: int) -> Nuclei:
    """``n`` nuclei all over a square, one in five positive, all above the usual thresholds."""
    rng = np.random.default_rng(n)
    return Nuclei.from_arrays(
        rng.uniform(4, side_px - 4, (n, 2)), rng.choice(3, n, p=(0.2, 0.6, 0.2)), rng.uniform(0.5, 1, n)
    )


def measure(browser: Browser, url: str, image_id: int) -> dict[str, float]:
    """All figures of one image, in a fresh browser profile."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.goto(f"{url}?image={image_id}", wait_until="commit")
    cold_tile, cold_points = page.evaluate(LOADED)
    page.goto(f"{url}?image={image_id}", wait_until="commit")  # as every day: the browser knows the page's scripts
    first_tile, all_points = page.evaluate(LOADED)
    expect(page.locator(".nv-root")).to_have_attribute("data-pending", "0")
    frames = page.evaluate(FLY)
    click_about(page)
    measured = page.evaluate("window.measured")
    heap = read_heap(page)
    context.close()
    return {
        "first_tile_ms": round(first_tile),
        "all_points_ms": round(all_points),
        "first_visit_tile_ms": round(cold_tile),
        "first_visit_points_ms": round(cold_points),
        "click_visible_ms": round(statistics.median(measured["visible"]), 1),
        "click_visible_p95_ms": round(float(np.percentile(measured["visible"], 95)), 1),
        "click_saved_ms": round(statistics.median(measured["saved"]), 1),
        "click_saved_p95_ms": round(float(np.percentile(measured["saved"], 95)), 1),
        "frames_per_s": round(frames, 1),
        "heap_mb": round(heap / 1e6, 1),
    }


def click_about(page: Page) -> None:
    """Class or add nuclei by single clicks, each seen and saved before the next."""
    page.locator(".nv-stage").focus()
    page.keyboard.press("a")
    page.evaluate(WATCH)
    box = page.locator(".nv-stage").bounding_box()
    assert box is not None
    rng = np.random.default_rng(1)
    for _ in range(CLICKS):
        x, y = rng.uniform((0.15, 0.25), (0.7, 0.8))
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.wait_for_function("document.querySelector('.nv-root').viewer.session.outbox.pending === 0", timeout=20_000)
    expect(page.locator(".nv-root")).to_have_attribute("data-pending", "0")


def read_heap(page: Page) -> float:
    """Bytes of live JavaScript objects, after a collection."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(float(m["value"]) for m in metrics if m["name"] == "JSHeapUsedSize")


def print_table(rows: dict[str, dict[str, float]]) -> None:
    names = list(next(iter(rows.values())))
    print(f"{'':22}" + "".join(f"{int(n):>12,}" for n in rows) + f"{'bar':>10}")
    for name in names:
        print(f"{name:22}" + "".join(f"{row[name]:>12}" for row in rows.values()) + f"{BARS.get(name, ''):>10}")


if __name__ == "__main__":
    main()
