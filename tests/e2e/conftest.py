"""The app for a module of tests, a page of a laptop's size, and a case to correct."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Request

from nucleus_app.services.workplace import Workplace, open_workplace
from nucleus_app.settings import Settings
from tests.e2e.bench import ZOOM_IN, Bench
from tests.e2e.running import SEEDED, RunningApp, open_chromium, running_app
from tests.e2e.school import FakeSchool
from tests.e2e.seeding import draw_seeded, seed_case


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(tmp_path_factory.mktemp("app") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def seeded_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """One app for all modules that bring their own cases, of which a process has many: a start takes long."""
    with running_app(tmp_path_factory.mktemp("seeded") / "data", SEEDED) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with open_chromium() as chromium:
        yield chromium


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page on a laptop's screen. The test fails if the page's script fails or a request leaves the machine."""
    context = browser.new_context(viewport={"width": 1280, "height": 720}, accept_downloads=True)
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    problems: list[str] = []

    def check(request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            problems.append(f"request to {request.url}")

    context.on("request", check)
    opened.on("pageerror", lambda error: problems.append(f"script error {error}"))
    yield opened
    context.close()
    assert problems == []


@pytest.fixture(scope="module")
def store(app: RunningApp) -> Iterator[Workplace]:
    """The running app's own store."""
    workplace = open_workplace(Settings(data_dir=app.data_dir, demo=False))
    yield workplace
    workplace.jobs.close()
    workplace.engine.dispose()


@pytest.fixture
def bench(page: Page, app: RunningApp, store: Workplace) -> Bench:
    """A fresh case of its own with known candidates, zoomed in."""
    bench = Bench(page, app, seed_case(store, *draw_seeded(420, seed=11), "Seeded field")).open()
    page.evaluate(ZOOM_IN)
    return bench


@pytest.fixture(scope="module")
def images(store: Workplace) -> list[int]:
    """Two images, each a case."""
    return [seed_case(store, *draw_seeded(420, seed=n), f"Field {n}") for n in (1, 2)]


@pytest.fixture
def school(page: Page) -> FakeSchool:
    """Hand-made answers in the trainer's place."""
    return FakeSchool(page)


@pytest.fixture
def schooled(page: Page, app: RunningApp, school: FakeSchool, images: list[int]) -> Bench:
    """The first image is open; the trainer's answers are those of the test."""
    return Bench(page, app, images[0]).open()
