"""A page on one image whose case is filled in, and the server's view of that case."""

from __future__ import annotations

from typing import Any

import httpx
from playwright.sync_api import expect

from tests.e2e.bench import Bench
from tests.e2e.pages import wait_scored

CHOOSE = """(id) => { const { viewer } = document.querySelector('.nv-root'); viewer.panel.notices.replaceChildren(); viewer.choose(id); }"""
ZOOM = """(zoom) => { const v = document.querySelector('.nv-root').viewer, p = v.osd.viewport;
  p.goHome(true); p.zoomTo(p.getHomeZoom() * zoom, null, true); v.osd.forceRedraw(); v.draw(); }"""


class Desk(Bench):
    """A page on one image, and the server's view of its case."""

    def open(self) -> Desk:
        if self.page.url == "about:blank":
            super().open()
        else:
            self.page.evaluate(CHOOSE, self.image)
        expect(self.root).to_have_attribute("data-open", str(self.image))
        wait_scored(self.page)
        self.settled()
        self.page.evaluate(ZOOM, 1)  # all these images have the same pixels, so the page remembers where one looked
        self.focus()
        return self

    @property
    def case(self) -> int:
        return int(self.root.get_attribute("data-case") or 0)

    def settled(self) -> None:
        """All that was done is saved, and the score on the page is of it."""
        expect(self.root).to_have_attribute("data-case-waiting", "no")

    def state(self) -> dict[str, Any]:
        self.settled()
        answer: dict[str, Any] = httpx.get(f"{self.app.url}nucleus/api/cases/{self.case}").json()
        return answer

    def choose_protocol(self, name: str) -> None:
        self.page.locator("#protocol").select_option(name)
        self.settled()

    def shows_primary(self) -> dict[str, Any]:
        """The page's number is the server's; returns it."""
        primary: dict[str, Any] = self.state()["score"]["primary"]
        expect(self.page.locator(".nv-value")).to_have_text(primary["shown"])
        expect(self.page.locator(".nv-counts")).to_have_text(
            f"{primary['positive']:,} positive of {primary['tumour']:,} tumour nuclei"
        )
        return primary

    def drag_field(self, left: float, top: float, right: float, bottom: float) -> None:
        n = len(self.state()["sheet"]["fields"])
        self.focus()
        self.key("d")
        self.drag((left, top), (right, bottom))
        expect(self.root).to_have_attribute("data-tool", "pan")
        expect(self.page.locator(".nv-fields-list li")).not_to_have_count(n + 2)
        self.settled()
