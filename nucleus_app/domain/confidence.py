"""How likely a found tumour nucleus is one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit


@dataclass(frozen=True, slots=True)
class Confidence:
    """From a tumour nucleus' proximity to the probability that a reader finds a nucleus of that class there:
    1 / (1 + exp(-(slope · proximity + intercept))), fitted per version on validation cases (Platt 1999).
    """

    slope: float
    intercept: float

    def of(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (N,) of proximities (N,)."""
        probability: NDArray[np.float32] = expit(self.slope * scores + self.intercept).astype(np.float32)
        return probability
