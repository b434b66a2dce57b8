"""Composition root: settings → workplace → worker and trainer → routes and page → server. Nothing else lives here."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile

from nucleus_app.errors import NucleusAppError
from nucleus_app.log import set_up_logging
from nucleus_app.settings import Settings, read_settings

logger = logging.getLogger("nucleus_app")


def main() -> int:
    set_up_logging()
    try:
        settings = read_settings(os.environ)
        serve(settings)
    except NucleusAppError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def serve(settings: Settings) -> None:
    """Run the app until it is stopped."""
    # Gradio reads these when it is imported.
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", GRADIO_TEMP_DIR=str(settings.temporary_dir), HF_HUB_OFFLINE="1")
    import gradio as gr
    import uvicorn
    from fastapi import FastAPI
    from fastapi.staticfiles import StaticFiles
    from starlette.middleware.cors import CORSMiddleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from nucleus_app.services.base_version import keep_base
    from nucleus_app.services.child import TRAINER, WORKER, Child
    from nucleus_app.services.expiry import watch_expiry
    from nucleus_app.services.intake import take_in_demo
    from nucleus_app.services.workplace import open_workplace
    from nucleus_app.ui.page import CSS, build_page
    from nucleus_app.ui.viewer.component import STATIC, static_version
    from nucleus_app.web.guard import Guard
    from nucleus_app.web.routes import create_router, error_to_response

    shutil.rmtree(settings.temporary_dir, ignore_errors=True)  # uploads that a crash left behind carry names and EXIF
    settings.temporary_dir.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(settings.temporary_dir)  # a report holds pixels and names while it is set
    workplace = open_workplace(settings)
    workplace.blobs.sweep()
    watch_expiry(workplace)
    keep_base(workplace)
    if settings.demo:
        take_in_demo(workplace)
    server = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    server.add_exception_handler(NucleusAppError, error_to_response)
    # Our routes come first: Gradio is mounted at / and would answer for everything.
    worker = Child("worker", WORKER) if settings.worker == "embedded" else None
    trainer = Child("trainer", TRAINER) if settings.trainer == "embedded" else None
    router = create_router(
        workplace,
        lambda: worker is not None and worker.is_failing,
        lambda: trainer is not None and trainer.is_failing,
    )
    server.include_router(router)
    server.mount(f"/nucleus/static/{static_version()}", StaticFiles(directory=STATIC))
    server = gr.mount_gradio_app(
        server, build_page(workplace), path="/", root_path=settings.root_path or None, css=CSS,
        theme=gr.themes.Default(primary_hue="orange", font=["system-ui", "sans-serif"]),
        run_history=False, footer_links=[], enable_monitoring=False, show_error=False,
        max_file_size=f"{settings.max_upload_mb}mb",
    )  # fmt: skip
    server.add_middleware(CORSMiddleware, allow_origins=[])  # with it in place Gradio does not echo foreign origins
    server.add_middleware(Guard)
    server.add_middleware(TrustedHostMiddleware, allowed_hosts=settings.host_names, www_redirect=False)
    logger.info("open http://%s:%d%s", settings.host, settings.port, settings.root_path)
    try:
        uvicorn.run(server, host=settings.host, port=settings.port, log_level="warning", timeout_graceful_shutdown=3)
    finally:
        for child in (worker, trainer):
            if child:
                child.stop()


if __name__ == "__main__":
    sys.exit(main())
