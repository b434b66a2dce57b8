"""Pixels of a stored image, for the viewer."""

from __future__ import annotations

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


def load_pyramid(workplace: Workplace, image_id: int) -> Pyramid:
    """All levels of an image in memory. Raises NotFound."""
    with session_scope(workplace.engine) as session:
        image = get_image(session, image_id)
    return Pyramid.of(decode_png(workplace.blobs.get(image.blob)))
