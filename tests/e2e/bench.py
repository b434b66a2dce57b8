"""A page on one image, driven as a person would, and the server's view of the same image."""

from __future__ import annotations

from typing import Any

import httpx
from playwright.sync_api import Page, expect

from tests.e2e.pages import open_page, wait_scored
from tests.e2e.running import RunningApp

# Page coordinates of image coordinates, whatever the zoom.
TO_PAGE = """([x, y]) => { const v = document.querySelector('.nv-root').viewer, b = v.osd.canvas.getBoundingClientRect();
  return [b.left + (x + 0.5) * v.view.scale + v.view.x, b.top + (y + 0.5) * v.view.scale + v.view.y]; }"""
# Nuclei that count, as [index, x, y, class], those in the middle of the view only.
COUNTED = """() => { const v = document.querySelector('.nv-root').viewer, p = v.points, found = [];
  for (let i = 0; i < p.n; i++) { const x = (p.xy[2 * i] + 0.5) * v.view.scale + v.view.x, y = (p.xy[2 * i + 1] + 0.5) * v.view.scale + v.view.y;
    if (p.standings[i] === 1 && x > 120 && y > 160 && x < v.view.width - 60 && y < v.view.height - 90) found.push([i, p.xy[2 * i], p.xy[2 * i + 1], p.classes[i]]); }
  return found; }"""
# A place in the middle of the view, at least so many µm from every candidate.
EMPTY = """(um) => { const v = document.querySelector('.nv-root').viewer, p = v.points, r = um / v.mpp;
  for (let y = 200; y < v.view.height - 100; y += 7) for (let x = 140; x < v.view.width - 80; x += 7) {
    const at = v.tools.toImage({ x, y }); if (p.nearest(at.x, at.y, r, () => true) < 0) return [at.x, at.y]; }
  return null; }"""
COUNTS = "() => [...document.querySelector('.nv-root').viewer.review.counts]"
ZOOM_IN = """() => { const v = document.querySelector('.nv-root').viewer, p = v.osd.viewport;
  p.zoomTo(p.getHomeZoom() * 3, null, true); p.panTo(new OpenSeadragon.Point(0.5, 0.5), true); v.osd.forceRedraw(); v.draw(); }"""


class Bench:
    """A page on one image, and the server's view of the same image."""

    def __init__(self, page: Page, app: RunningApp, image: int) -> None:
        self.page, self.app, self.image = page, app, image
        self.root = page.locator(".nv-root")

    def open(self) -> Bench:
        open_page(self.page, self.app, f"?image={self.image}")
        wait_scored(self.page)
        self.focus()
        return self

    def focus(self) -> None:
        self.page.locator(".nv-stage").focus()

    def key(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def at(self, x: float, y: float) -> tuple[float, float]:
        left, top = self.page.evaluate(TO_PAGE, [x, y])
        return float(left), float(top)

    def counted(self) -> list[list[float]]:
        found: list[list[float]] = self.page.evaluate(COUNTED)
        assert found
        return found

    def empty(self, um: float = 4.0) -> tuple[float, float]:
        place = self.page.evaluate(EMPTY, um)
        assert place is not None, "no empty tissue in view"
        return tuple(place)

    def drag(self, *places: tuple[float, float], steps: int = 6) -> None:
        """Press at the first image place, move over the others, release at the last."""
        self.page.mouse.move(*self.at(*places[0]))
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*self.at(*place), steps=steps)
        self.page.mouse.up()

    def saved(self) -> None:
        expect(self.root).to_have_attribute("data-pending", "0")
        expect(self.root).to_have_attribute("data-agrees", "yes")

    def result(self) -> dict[str, Any]:
        self.saved()
        answer: dict[str, Any] = httpx.get(f"{self.app.url}nucleus/api/images/{self.image}/result.json").json()
        return answer

    def sees(self, total: int) -> None:
        """Within three seconds the page shows so many nuclei, whoever edited."""
        self.page.wait_for_function(
            "(total) => document.querySelector('.nv-root').viewer.review.counts.reduce((a, b) => a + b) === total",
            arg=total,
            timeout=3000,
        )

    def counts(self) -> tuple[int, int, int]:
        """What the page counts; the server must count the same."""
        here = tuple(self.page.evaluate(COUNTS))
        there = self.result()["counts"]
        assert here == (there["positive"], there["negative"], there["other"])
        expect(self.page.locator(".nv-counts")).to_have_text(
            f"{here[0]:,} positive of {here[0] + here[1]:,} tumour nuclei"
        )
        return here
