from __future__ import annotations

from pathlib import Path

import pytest

from nucleus_app.services.reviews import ReviewDesk
from nucleus_app.services.workplace import Workplace
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
