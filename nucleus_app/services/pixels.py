"""Pixels of a stored image, for the viewer."""

from __future__ import annotations

import threading
from collections import OrderedDict

from db.engine import session_scope
from db.images import get_image
from nucleus_app.imaging.pyramid import Pyramid, deep_zoom_descriptor
from nucleus_app.imaging.reader import decode_png
from nucleus_app.services.workplace import Workplace


def deep_zoom(workplace: Workplace, image_id: int) -> str:
    """The Deep Zoom descriptor of an image. Raises NotFound."""
    with session_scope(workplace.engine) as session:
        image = get_image(session, image_id)
    return deep_zoom_descriptor(image.width_px, image.height_px)


class PyramidCache:
    """Pyramids of the images looked at last, up to a total of pixels. One image is decoded at a time, however many of
    its tiles are asked for at once.
    """

    def __init__(self, workplace: Workplace, max_megapixels: float = 200) -> None:
        self._workplace = workplace
        self._max_pixels = max_megapixels * 1e6
        self._kept: OrderedDict[int, Pyramid] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, image_id: int) -> Pyramid:
        """All levels of an image. Raises NotFound."""
        with session_scope(self._workplace.engine) as session:
            image = get_image(session, image_id)  # it may have been removed since
        with self._lock:
            pyramid = self._kept.get(image_id) or Pyramid.of(decode_png(self._workplace.blobs.get(image.blob)))
            self._kept[image_id] = pyramid
            self._kept.move_to_end(image_id)
            while len(self._kept) > 1 and sum(p.pixels for p in self._kept.values()) > self._max_pixels:
                self._kept.popitem(last=False)
            return pyramid
