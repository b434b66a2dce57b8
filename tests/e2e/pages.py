"""What every test of the page does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.e2e.running import RunningApp

# How many pixels of the nuclei's layer are drawn on.
INKED = """() => { const o = document.querySelector('.nv-root').viewer.overlay;
  const d = o.g.getImageData(0, 0, o.canvas.width, o.canvas.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; }"""


def open_page(page: Page, app: RunningApp, address: str = "") -> None:
    page.goto(app.url + address)
    expect(page.locator(".nv-root")).to_have_attribute("data-connected", "yes")


def wait_scored(page: Page) -> None:
    """The nuclei are there, and the pixels that a place on the screen belongs to."""
    expect(page.locator(".nv-root")).to_have_attribute("data-ready", re.compile(r"\d+"), timeout=120_000)
    page.wait_for_function("document.querySelector('.nv-root').viewer.shownImage !== null")


def upload(page: Page, *files: Path) -> None:
    page.set_input_files("#upload input[type=file]", [str(f) for f in files])


def save(rgb: np.ndarray, path: Path, **options: Any) -> Path:
    Image.fromarray(rgb).save(path, **options)
    return path


# The page about learning, for whoever tests the loop.


def open_learning(page: Page) -> Locator:
    """Open the page about learning by its entry in the header, and wait until it says how things stand."""
    page.locator("#title a", has_text="Learning").click()
    return learning_of(page)


def learning_of(page: Page) -> Locator:
    """The page about learning, open and answered."""
    learning = page.get_by_role("dialog", name="Learning")
    expect(learning).to_be_visible()
    expect(learning).to_have_attribute("data-connected", "yes")
    return learning


def close_learning(page: Page) -> None:
    """Close the page about learning, and wait until the browser went back: a reload at that moment would be torn."""
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: "learning=" not in url)


def lesson_of(learning: Locator) -> Locator:
    """The part of the page that shows a lesson and what came of it."""
    return learning.get_by_role("region", name="A lesson and what came of it")


def read_lead(page: Page) -> str:
    """The sentence on top: what is in service, since when, what it learned from."""
    return learning_of(page).locator(".nv-lead").inner_text()


def learn_now(page: Page) -> int:
    """Press the button; returns the number of the lesson that begins."""
    learning = learning_of(page)
    learning.get_by_role("button", name="Learn now").click()
    title = learning.get_by_role("region", name="Lesson that runs").get_by_role("heading", level=3)
    expect(title).to_be_visible()
    return int(title.inner_text().split()[-1])


def wait_outcome(page: Page, lesson: int, timeout_s: float = 1800) -> str:
    """Wait until a lesson ended and is shown; returns what became of it, as "✓ taken into service. …"."""
    learning = learning_of(page)
    line = learning.locator(f".nv-lessons [data-run='{lesson}']")
    expect(line).to_be_visible(timeout=timeout_s * 1000)
    line.click()
    expect(learning.locator(".nv-judged h3")).to_contain_text(f"Lesson {lesson}")
    return " ".join(learning.locator(".nv-outcome").inner_text().split())


def put_in_service(page: Page, version: str, reader: str) -> None:
    """Put a version in service, by one click and a confirmation with the reader's name."""
    learning = learning_of(page)
    learning.get_by_role("button", name=f"Put {version} in service…").click()
    question = learning.get_by_role("group", name=f"Put {version} in service")
    question.get_by_label("Reader").fill(reader)
    question.get_by_role("button", name="Put in service").click()
    expect(learning).to_have_attribute("data-service", version)
