"""What every test of the page does."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.e2e.running import RunningApp

# How many pixels of the nuclei's layer are drawn on.
INKED = """() => { const o = document.querySelector('.nv-root').viewer.overlay;
  const d = o.g.getImageData(0, 0, o.canvas.width, o.canvas.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; }"""


def open_page(page: Page, app: RunningApp, address: str = "") -> None:
    page.goto(app.url + address)
    expect(page.locator(".nv-root")).to_have_attribute("data-connected", "yes")


def wait_scored(page: Page) -> None:
    expect(page.locator(".nv-root")).to_have_attribute("data-ready", re.compile(r"\d+"), timeout=120_000)
