from __future__ import annotations

from pathlib import Path

import pytest

from nucleus_app.services.reviews import ReviewDesk
from nucleus_app.services.scored_images import get_scored_image
from nucleus_app.services.workplace import Workplace
from tests.services.casefolder import Folder
from tests.services.reviewing import add_image, add_scoring


@pytest.fixture
def image_id(workplace: Workplace, tmp_path: Path) -> int:
    return add_image(workplace, tmp_path)


@pytest.fixture
def scoring_id(workplace: Workplace, image_id: int) -> int:
    return add_scoring(workplace, image_id)


@pytest.fixture
def desk(workplace: Workplace) -> ReviewDesk:
    return ReviewDesk(workplace)


@pytest.fixture
def case(workplace: Workplace, image_id: int, scoring_id: int) -> Folder:
    return Folder(workplace, get_scored_image(workplace, image_id).image.case_id)
