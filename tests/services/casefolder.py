"""A case as its reader meets it, for tests."""

from __future__ import annotations

from typing import Any

from nucleus_app.domain.sheet import CaseSheet, sheet_to_mapping
from nucleus_app.reports.case_report import CaseReport
from nucleus_app.services.case_states import state_to_mapping
from nucleus_app.services.casework import CaseDesk
from nucleus_app.services.reviews import ReviewDesk
from nucleus_app.services.sheets import save_sheet
from nucleus_app.services.signing import sign_off
from nucleus_app.services.workplace import Workplace

POINT = b"""{"type": "Feature", "geometry": {"type": "Point", "coordinates": [9, 9]},
  "properties": {"objectType": "annotation", "classification": {"name": "Positive", "color": [250, 62, 62]}}}"""


class Folder:
    """A case as its reader meets it."""

    def __init__(self, workplace: Workplace, case_id: int) -> None:
        self.workplace, self.id = workplace, case_id
        self.reviews = ReviewDesk(workplace)
        self.desk = CaseDesk(workplace, self.reviews)

    @property
    def rev(self) -> int:
        return self.desk.view(self.id).case.rev

    @property
    def sheet(self) -> CaseSheet:
        return self.desk.view(self.id).case.sheet

    def summary(self) -> CaseReport:
        return self.desk.summarise(self.desk.view(self.id))

    def state(self) -> dict[str, Any]:
        view = self.desk.view(self.id)
        return state_to_mapping(view, self.desk.summarise(view))

    def change(self, **changes: Any) -> None:
        save_sheet(self.workplace, self.id, self.rev, "Dr. A", sheet_to_mapping(self.sheet) | changes)

    def sign(self, reader: str = "Dr. A") -> str:
        return sign_off(self.workplace, self.id, self.desk.view(self.id).digest, reader)


def whole(image_id: int, **given: Any) -> dict[str, Any]:
    return {"id": 1, "image": image_id, **given}
