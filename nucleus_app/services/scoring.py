"""Scoring an image with the network: what the worker does step by step and the command line in one go."""

from __future__ import annotations

from nucleus_app import __version__
from nucleus_app.domain.cautions import list_image_cautions
from nucleus_app.domain.oddities import is_refused
from nucleus_app.domain.reviewed import ReviewedNuclei, Tally
from nucleus_app.domain.scale import STATED_BY_USER, PixelSize, check_extent, check_mpp
from nucleus_app.errors import UnknownPixelSize
from nucleus_app.imaging.reader import ReadImage
from nucleus_app.kinet.backends import OPENVINO
from nucleus_app.kinet.checkpoint import SHIPPED_WEIGHTS, Version, find_weights, load_version
from nucleus_app.kinet.openvino_backend import PREPARED_DIR
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.reports.record import ImageRecord
from nucleus_app.services.familiarity import find_doubts, find_oddities
from nucleus_app.settings import Settings


def load_predictor(settings: Settings, weights: str = "") -> Predictor:
    """The given weight file, that of the settings, or the shipped one, on the configured device."""
    return open_predictor(settings, load_version(find_weights(weights or settings.weights)))


def open_predictor(settings: Settings, version: Version) -> Predictor:
    """A version on the configured device."""
    return Predictor.open(version, settings.device or None, cache=settings.networks_dir, threads=settings.threads)


def prepare_shipped() -> None:
    """Make the graphs of the shipped weights once, at installation, so that no first start waits for them."""
    Predictor.open(load_version(SHIPPED_WEIGHTS), OPENVINO, cache=PREPARED_DIR).warm_up()


def score_image(
    predictor: Predictor, image: ReadImage, stated_mpp: float | None, *, max_megapixels: float, anyway: bool = False
) -> ImageRecord:
    """Score one image at the stated pixel size, or else its own. An image that the network does not know gets no nuclei
    unless ``anyway``. Raises UnknownPixelSize when there is no pixel size, or when it cannot be right.
    """
    if stated_mpp is not None:
        used = PixelSize(check_mpp(stated_mpp), STATED_BY_USER)
    elif image.pixel_size is not None:
        used = image.pixel_size
    else:
        raise UnknownPixelSize(
            "The image states no pixel size, and it is never guessed: give it with --mpp "
            "(about 0.5 µm/px for a 20× objective, 0.25 for 40×)."
        )
    check_extent(image.width_px, image.height_px, used.mpp, max_megapixels)
    field = predictor.prepare(image.rgb, used.mpp)
    odd = find_oddities(predictor, field)
    refused = is_refused(odd, confirmed=anyway)
    nuclei = predictor.join(field, [] if refused else predictor.find_in_tiles(field))
    version, counts = predictor.version, nuclei.counts()
    odd = (*odd, *find_doubts(nuclei, version.confidence))
    return ImageRecord(
        image.sha256, image.width_px, image.height_px, used,
        version.name, version.sha256, __version__, version.thresholds.per_class,
        version.confidence, version.thresholds.per_class, ReviewedNuclei.untouched(nuclei), Tally.untouched(counts),
        nuclei, (), list_image_cautions(used, image.pixel_size, image.notes, oddities=odd, confirmed=anyway),
        counted=not refused,
    )  # fmt: skip
