"""Labelled images brought to the network's scale, with weak regions derived from where tumour was marked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_filter, maximum_filter

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.errors import InvalidDataset
from nucleus_app.imaging.stain import DAB, HAEMATOXYLIN, STAIN_MATRIX, rgb_to_density, stain_matrix
from nucleus_app.kinet.preprocess import Rgb, scale_image
from nucleus_app.kinet.proximity import keep_apart

UNKNOWN, TUMOUR, NON_TUMOUR, EXCLUDED = 0, 1, 2, 3
"""Codes of the weak region map. Where a person excluded, nothing teaches, not even what a version knows."""

TUMOUR_REACH_UM = 10.0
"""Tissue this near a marked tumour nucleus is tumour."""
FEWEST_TO_MEASURE = 8
"""Nuclei needed to measure a stain."""
NUCLEUS_RADIUS_UM = 3.5
"""How far around its centre a nucleus teaches, or is left out."""
MOST_ALIKE = 0.93
"""Cosine above which two measured stains cannot be told apart."""
STROMA_BEYOND_UM = 15.0
"""Tissue further than this from every marked tumour nucleus, where tumour was marked at all, is not tumour."""


@dataclass(frozen=True, slots=True)
class TrainingImage:
    """``rgb`` (H, W, 3) at the network's scale; ``nuclei`` in its pixels, weak ones included; ``weight`` (H, W)
    uint8 0..255, the supervision of nuclei (0 = unlabelled); ``region`` (H, W) uint8, the weak ROI codes;
    ``stains`` (3, 3) optical density of its own haematoxylin, DAB and residual. ``absent`` (N, 2): where somebody saw that what
    may look like a nucleus is none.
    """

    name: str
    rgb: Rgb
    nuclei: Nuclei
    weight: NDArray[np.uint8]
    region: NDArray[np.uint8]
    stains: NDArray[np.float32]
    absent: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 2), np.float32))


def prepare_training_image(image: LabelledImage, network_mpp: float, weak_weight: float) -> TrainingImage:
    """Bring a labelled image to the network's scale and say where, and how strongly, it teaches.

    Where non-tumour nuclei were marked too, the whole labelled area teaches. Else only the surroundings of marked
    tumour nuclei do, and tissue far from all of them is a weak non-tumour region, in which stained blobs are taken
    for non-tumour nuclei at ``weak_weight``.
    """
    rgb, scaling = scale_image(image.rgb, image.mpp, network_mpp)
    nuclei = Nuclei(scaling.to_network(image.nuclei.xy), image.nuclei.classes, image.nuclei.scores)
    stains = measure_stains(rgb, nuclei)
    labelled = resize_mask(image.labelled_area, rgb.shape[:2])
    tumour = nuclei.select(nuclei.classes != NucleusClass.OTHER)
    from_tumour = distance_to(tumour.xy, rgb.shape[:2]) * network_mpp
    from_area = np.zeros(rgb.shape[:2]) if labelled.all() else distance_transform_edt(~labelled) * network_mpp
    near = (from_tumour <= TUMOUR_REACH_UM) & labelled
    far = (from_tumour > STROMA_BEYOND_UM) & ((from_area > STROMA_BEYOND_UM) | labelled)
    region = np.where(near, TUMOUR, np.where(far, NON_TUMOUR, UNKNOWN)).astype(np.uint8)
    if len(nuclei.of_class(NucleusClass.OTHER)):
        return TrainingImage(image.name, rgb, nuclei, labelled.astype(np.uint8) * 255, region, stains)
    weight = np.where(near | (labelled & ~far), 255, 0).astype(np.uint8)
    weight[far] = round(255 * weak_weight)
    blobs = find_stained_blobs(rgb)
    at = np.rint(blobs).astype(int)
    blobs = blobs[far[at[:, 1], at[:, 0]]]
    weak = Nuclei.from_arrays(blobs, np.full(len(blobs), NucleusClass.OTHER))
    return TrainingImage(image.name, rgb, Nuclei.concatenate([nuclei, weak]), weight, region, stains)


def measure_stains(rgb: Rgb, nuclei: Nuclei) -> NDArray[np.float32]:
    """Stain matrix of an image from its labelled nuclei; the usual one where they are too few or too alike.

    Labs differ much: over these sets haematoxylin goes from (0.88, 0.44, 0.19) to (0.65, 0.64, 0.40).
    """
    white = np.percentile(rgb.reshape(-1, 3), 98, axis=0)
    negative = _density_at(rgb, nuclei.of_class(NucleusClass.NEGATIVE).xy, white)
    positive = _density_at(rgb, nuclei.of_class(NucleusClass.POSITIVE).xy, white)
    haematoxylin, dab = HAEMATOXYLIN, DAB
    if len(negative) >= FEWEST_TO_MEASURE:
        haematoxylin = np.median(negative, axis=0).clip(0.01)
    if len(positive) >= FEWEST_TO_MEASURE:  # the darkest third: the others are mixed with haematoxylin
        strongest = positive[np.argsort(-positive.sum(axis=1))[: max(3, len(positive) // 3)]]
        dab = np.median(strongest, axis=0).clip(0.01)
    matrix = stain_matrix(haematoxylin, dab)
    return matrix if float(matrix[0] @ matrix[1]) < MOST_ALIKE else STAIN_MATRIX


def _density_at(rgb: Rgb, xy: NDArray[np.float32], white: NDArray[np.float64]) -> NDArray[np.float64]:
    """Optical density (N, 3) over white around points, the mean of 3 × 3 pixels."""
    at = np.clip(np.rint(xy).astype(int), 1, (rgb.shape[1] - 2, rgb.shape[0] - 2))
    light = np.mean([rgb[at[:, 1] + dy, at[:, 0] + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)], axis=0)
    density: NDArray[np.float64] = -np.log10((light + 1) / (white + 1))
    return density


def find_stained_blobs(rgb: Rgb, *, sigma_px: float = 3.0, contrast: float = 0.08) -> NDArray[np.float32]:
    """Centres (N, 2) of dark blobs about a nucleus wide: maxima of smoothed density above their surroundings."""
    density = rgb_to_density(rgb).mean(axis=2)
    blob = gaussian_filter(density, sigma_px) - gaussian_filter(density, 5 * sigma_px)
    peak = (maximum_filter(blob, size=5) == blob) & (blob > contrast)
    rim = int(3 * sigma_px)  # scanners and crops leave dark frames there
    peak[:rim] = peak[-rim:] = peak[:, :rim] = peak[:, -rim:] = False
    ys, xs = np.nonzero(peak)
    order = np.argsort(-blob[ys, xs], kind="stable")
    xy = np.stack([xs[order], ys[order]], axis=1).astype(np.float32)
    return xy[keep_apart(xy, 3 * sigma_px)]


def nearest_pixels(xy: NDArray[np.float32], shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns (N,) of the pixels of a plane (H, W) that are nearest to points (N, 2)."""
    at = np.clip(np.rint(xy).astype(np.int64), 0, (shape[1] - 1, shape[0] - 1))
    return at[:, 1], at[:, 0]


def codes_at(plane: NDArray[np.uint8], xy: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Codes (N,) of a plane (H, W) at points (N, 2)."""
    values: NDArray[np.uint8] = plane[nearest_pixels(xy, plane.shape)]
    return values


def mask_near(xy: NDArray[np.float32], shape: tuple[int, ...], radius_px: float) -> NDArray[np.bool_]:
    """Pixels (H, W) within a radius of any of the points (N, 2)."""
    near: NDArray[np.bool_] = distance_to(xy, shape) <= radius_px
    return near


def distance_to(xy: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Distance (H, W) of every pixel to the nearest point, in pixels; infinite without points."""
    if len(xy) == 0:
        return np.full(shape, np.inf)
    free = np.ones(shape, np.bool_)
    free[nearest_pixels(xy, shape)] = False
    distance: NDArray[np.float64] = distance_transform_edt(free)
    return distance


def resize_mask(mask: NDArray[np.bool_] | None, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask (H, W) at another size; all of it without a mask."""
    if mask is None:
        return np.ones(shape, np.bool_)
    return np.asarray(Image.fromarray(mask).resize((shape[1], shape[0]), Image.Resampling.NEAREST))


def resize_codes(codes: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A plane of codes (H, W) at another size."""
    return np.array(Image.fromarray(codes).resize((shape[1], shape[0]), Image.Resampling.NEAREST))


def hash_images(images: Iterable[TrainingImage]) -> str:
    """SHA-256 over all that is taught: pixels, nuclei, what is none, weights and regions, in order."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(image.name.encode())
        for array in (image.rgb, image.nuclei.xy, image.nuclei.classes, image.absent, image.weight, image.region):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def split_by_case(
    images: Iterable[LabelledImage], validation_cases: Sequence[str]
) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """Training and validation images. A case is named by the start of its images' names (``glioma_p3`` covers
    ``glioma_p3_1``). Without names, one case in five is drawn by a stable hash.
    """
    training: list[LabelledImage] = []
    validation: list[LabelledImage] = []
    for image in images:
        held_out = _is_of(image.name, validation_cases) if validation_cases else _hash_of(case_of(image.name)) % 5 == 0
        (validation if held_out else training).append(image)
    unknown = [case for case in validation_cases if not any(_is_of(image.name, [case]) for image in validation)]
    if unknown:
        raise InvalidDataset(f"no image belongs to the validation cases {', '.join(unknown)}: check their names")
    if not training or not validation:
        raise InvalidDataset(
            f"{len(training)} training and {len(validation)} validation images: both are needed. Name cases with --validation."
        )
    return training, validation


def case_of(name: str) -> str:
    """The case an image belongs to: its name up to the second underscore (``glioma_p3_1`` → ``glioma_p3``)."""
    return "_".join(name.split("_")[:2])


def _is_of(name: str, cases: Sequence[str]) -> bool:
    return any(name == case or name.startswith(case + "_") for case in cases)


def _hash_of(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
