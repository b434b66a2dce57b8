"""H&E images with classed nuclei, restained to look like a Ki67 stain: what teaches tumour from non-tumour.

The Ki67 sets hardly label non-tumour nuclei; H&E sets of colon carcinoma do by the thousand (epithelial, inflammatory,
fibroblast). Their eosin is faded and some epithelial nuclei are turned from haematoxylin to DAB. As in MicroNet
(Xing et al. 2019, BMC Bioinformatics) the auxiliary images weigh less than the target's (γ > 1).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.errors import InvalidDataset
from nucleus_app.imaging.stain import DAB, HAEMATOXYLIN, STAIN_MATRIX, density_to_rgb, rgb_to_density
from nucleus_app.kinet.preprocess import Rgb, scale_image
from trainer.learning.dataset import NON_TUMOUR, TUMOUR, UNKNOWN, TrainingImage, mask_near, nearest_pixels

EOSIN = np.array([0.072, 0.990, 0.105], np.float32)
"""Optical density of eosin in red, green and blue, a unit vector (Ruifrok & Johnston 2001)."""
FADED = np.array([0.52, 0.60, 0.61], np.float32)
"""What eosin becomes: the pale grey of an unstained ground."""
CLASSES = {
    "epithelial": NucleusClass.NEGATIVE,
    "inflammatory": NucleusClass.OTHER,
    "fibroblast": NucleusClass.OTHER,
}
NUCLEUS_RADIUS_UM = 3.6
IGNORED_RADIUS_UM = 4.0
REGION_RADIUS_UM = 5.0
SAME_POINT_PX = 2.0


def read_auxiliary(
    folder: Path, network_mpp: float, weight: float, variants: int, rng: np.random.Generator
) -> Iterator[TrainingImage]:
    """Training images of a folder whose ``points`` are a mapping of class names to [[x, y], …], ``variants`` of each.

    ``all`` holds every nucleus; those of no known class are neither taught nor taken for background.
    """
    labels = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not labels:
        raise InvalidDataset(f"{folder} holds no NAME.json: give a folder of H&E images with classed nuclei")
    for label_file in labels:
        try:
            label = json.loads(label_file.read_text("utf-8"))
            rgb = np.asarray(Image.open(label_file.parent / label["image"]).convert("RGB"))
            scaled, scaling = scale_image(rgb, float(label["mpp_estimate"]), network_mpp)
            points = {k: _as_points(v) for k, v in label["points"].items()}
            everything = scaling.to_network(points["all"])
            known = [(scaling.to_network(points[name]), kind) for name, kind in CLASSES.items()]
        except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
            raise InvalidDataset(f"{label_file.name}: {error}") from error
        nuclei = Nuclei.from_arrays(
            np.concatenate([xy for xy, _ in known]), np.concatenate([np.full(len(xy), kind) for xy, kind in known])
        )
        shape = scaled.shape[:2]
        classed, _ = cKDTree(nuclei.xy).query(everything) if len(nuclei) else (np.full(len(everything), np.inf), None)
        unclassed = everything[classed > SAME_POINT_PX]
        taught = np.where(mask_near(unclassed, shape, IGNORED_RADIUS_UM / network_mpp), 0, round(255 * weight))
        region = _regions(nuclei, shape, REGION_RADIUS_UM / network_mpp)
        for _ in range(variants):
            stained, classes = restain_as_ki67(scaled, nuclei, network_mpp, rng)
            yield TrainingImage(
                f"he_{label_file.stem}",
                stained,
                Nuclei.from_arrays(nuclei.xy, classes),
                taught.astype(np.uint8),
                region,
                STAIN_MATRIX,
            )


def restain_as_ki67(rgb: Rgb, nuclei: Nuclei, mpp: float, rng: np.random.Generator) -> tuple[Rgb, NDArray[np.uint8]]:
    """H&E (H, W, 3) uint8 → the same field as haematoxylin and DAB, and the classes of its nuclei: a random share of
    the negative ones became positive, some strongly, some weakly.
    """
    residual = np.cross(HAEMATOXYLIN, EOSIN)
    stains = rgb_to_density(rgb) @ np.linalg.inv(np.stack([HAEMATOXYLIN, EOSIN, residual / np.linalg.norm(residual)]))
    haematoxylin, eosin = np.clip(stains[..., 0], 0, None), np.clip(stains[..., 1], 0, None)
    classes = nuclei.classes.copy()
    turned = (classes == NucleusClass.NEGATIVE) & (rng.random(len(nuclei)) < rng.beta(0.6, 1.6))
    classes[turned] = NucleusClass.POSITIVE
    strength = _discs(nuclei.xy[turned], rng.uniform(0.5, 1.0, int(turned.sum())), rgb.shape[:2], mpp)
    brown = haematoxylin * strength * rng.uniform(0.8, 2.2)
    blue = haematoxylin * (1 - 0.9 * strength) * rng.uniform(0.35, 0.9)
    ground = eosin * rng.uniform(0.1, 0.45)
    density = blue[..., None] * HAEMATOXYLIN + brown[..., None] * DAB + ground[..., None] * FADED
    return density_to_rgb(density.astype(np.float32)), classes


def _discs(
    xy: NDArray[np.float32], strength: NDArray[np.float64], shape: tuple[int, int], mpp: float
) -> NDArray[np.float64]:
    """Soft discs (H, W) 0..1 of a nucleus' size around points."""
    plane = np.zeros(shape)
    reach = int(2 * NUCLEUS_RADIUS_UM / mpp)
    for (x, y), value in zip(xy.tolist(), strength.tolist(), strict=True):
        x0, y0 = max(0, int(x) - reach), max(0, int(y) - reach)
        x1, y1 = min(shape[1], int(x) + reach + 1), min(shape[0], int(y) + reach + 1)
        distance = np.hypot(np.arange(x0, x1) - x, np.arange(y0, y1)[:, None] - y) * mpp
        patch = plane[y0:y1, x0:x1]
        np.maximum(patch, value / (1 + np.exp(4 * (distance - NUCLEUS_RADIUS_UM))), out=patch)
    return plane


def _regions(nuclei: Nuclei, shape: tuple[int, int], radius_px: float) -> NDArray[np.uint8]:
    """Weak ROI codes around nuclei; where both kinds are near, the denser one."""
    density = []
    for of_tumour in (True, False):
        plane = np.zeros(shape, np.float32)
        chosen = nuclei.xy[(nuclei.classes != NucleusClass.OTHER) == of_tumour]
        np.add.at(plane, nearest_pixels(chosen, shape), 1.0)
        density.append(gaussian_filter(plane, radius_px, mode="constant"))
    floor = 0.25 / (2 * np.pi * radius_px**2)
    code = np.where(density[0] > density[1], TUMOUR, NON_TUMOUR)
    return np.where(np.maximum(*density) > floor, code, UNKNOWN).astype(np.uint8)


def _as_points(value: list[list[float]]) -> NDArray[np.float32]:
    return np.asarray(value, np.float32).reshape(-1, 2)
