"""The classical detector that QuPath users know: colour deconvolution, background, threshold, split. On scikit-image.

Parameters are QuPath's defaults (positive cell detection on the optical density sum), in µm, so that nothing is tuned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import center_of_mass, gaussian_laplace, mean
from skimage.feature import peak_local_max
from skimage.filters import gaussian
from skimage.measure import label, regionprops_table
from skimage.morphology import opening
from skimage.segmentation import watershed

from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.imaging.stain import density_to_stains, rgb_to_density

BACKGROUND_UM, SIGMA_UM, THRESHOLD = 8.0, 1.5, 0.1
AREA_UM2 = (10.0, 400.0)
SPLIT_SIGMA_UM, SPLIT_UM = 1.75, 2.5
POSITIVE_DAB = 0.2


def find_nuclei(rgb: NDArray[np.uint8], mpp: float) -> Nuclei:
    """Positive and negative nuclei of an image (H, W, 3) uint8, in its pixels; it knows no non-tumour."""
    stains = density_to_stains(rgb_to_density(rgb))
    stained, dab_density = stains[..., 0] + stains[..., 1], stains[..., 1]
    radius = round(BACKGROUND_UM / mpp)
    ground = opening(stained, np.ones((1, 2 * radius + 1)))
    ground = gaussian(opening(ground, np.ones((2 * radius + 1, 1))), radius)
    smooth = gaussian(stained - ground, SIGMA_UM / mpp)
    mask = smooth > THRESHOLD
    blobs = -gaussian_laplace(stained, SPLIT_SIGMA_UM / mpp)
    peaks = peak_local_max(blobs, min_distance=max(1, round(SPLIT_UM / mpp)), labels=label(mask), exclude_border=False)
    markers = np.zeros(smooth.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    nuclei = watershed(-blobs, markers, mask=mask)
    table: dict[str, Any] = regionprops_table(nuclei, properties=("label", "area"))
    area_um2 = table["area"] * mpp**2
    kept = table["label"][(area_um2 >= AREA_UM2[0]) & (area_um2 <= AREA_UM2[1])]
    if len(kept) == 0:
        return Nuclei.empty()
    rows_columns = np.asarray(center_of_mass(mask, nuclei, kept))
    dab = np.asarray(mean(dab_density, nuclei, kept))
    classes = np.where(dab > POSITIVE_DAB, NucleusClass.POSITIVE, NucleusClass.NEGATIVE)
    return Nuclei.from_arrays(rows_columns[:, ::-1], classes)
