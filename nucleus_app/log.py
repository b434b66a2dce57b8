"""Logging of every process: ids and states, never labels, file names or pixels."""

import logging


def set_up_logging() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("alembic", "dbos", "httpx", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
