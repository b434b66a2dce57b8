from __future__ import annotations

import pytest
from fastapi import FastAPI

from nucleus_app.errors import NucleusAppError
from nucleus_app.services.workplace import Workplace
from nucleus_app.web.guard import Guard
from nucleus_app.web.routes import create_router, error_to_response


@pytest.fixture
def server(workplace: Workplace) -> FastAPI:
    """Our routes behind the guard, without Gradio."""
    app = FastAPI()
    app.add_exception_handler(NucleusAppError, error_to_response)
    app.include_router(create_router(workplace))
    app.add_middleware(Guard)
    return app
