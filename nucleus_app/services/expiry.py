"""What is kept for a while only is deleted when its time is over, also where nobody looks."""

from __future__ import annotations

import logging
import threading
import time

from nucleus_app.services.removal import delete_expired
from nucleus_app.services.slides import remove_expired
from nucleus_app.services.workplace import Workplace

logger = logging.getLogger(__name__)
EVERY_S = 3600.0


def watch_expiry(workplace: Workplace) -> None:
    """Delete slides and removed images that were kept long enough every hour, as long as this process lives."""

    def watch() -> None:
        while True:
            for delete, what in ((remove_expired, "slides"), (delete_expired, "removed images")):
                try:
                    delete(workplace)
                except Exception:
                    logger.exception("%s that were kept long enough could not be deleted", what)
            time.sleep(EVERY_S)

    threading.Thread(target=watch, name="expiry", daemon=True).start()
