from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from nucleus_app.errors import NucleusAppError
from nucleus_app.services.workplace import Workplace
from nucleus_app.web.guard import Guard
from nucleus_app.web.routes import create_router, error_to_response
from tests.services.reviewing import add_image


@pytest.fixture
def server(workplace: Workplace) -> FastAPI:
    """Our routes behind the guard, without Gradio."""
    app = FastAPI()
    app.add_exception_handler(NucleusAppError, error_to_response)
    app.include_router(create_router(workplace))
    app.add_middleware(Guard)
    return app


@pytest.fixture
def client(server: FastAPI) -> TestClient:
    return TestClient(server, base_url="http://ki67.lan")


@pytest.fixture
def image_id(workplace: Workplace, tmp_path: Path) -> int:
    return add_image(workplace, tmp_path)
