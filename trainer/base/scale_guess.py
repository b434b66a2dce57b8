"""Fitting the guess of an image's scale: from how a network sees windows that were shown too large and too small."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nucleus_app.kinet.config import ScaleGuess
from nucleus_app.kinet.predictor import Predictor, pick_windows
from nucleus_app.kinet.preprocess import Rgb, scale_image

OCTAVES = np.round(np.arange(-1.25, 1.26, 0.25), 2)
RIDGE = 100.0

Shown: TypeAlias = tuple[Rgb, float]
"""An image (H, W, 3) uint8 and its µm/px."""


def fit_scale_guess(predictor: Predictor, images: Iterable[Shown]) -> ScaleGuess:
    """Ridge regression of log2(shown size / true size) on a window's features, over all images and scales."""
    return solve(*collect_features(predictor, images))


def collect_features(predictor: Predictor, images: Iterable[Shown]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Features (N, F) of the darkest windows of each image shown at several sizes, and the octaves (N,) by which those
    are off.
    """
    mpp = predictor.version.config.mpp
    features, octaves = [], []
    for rgb, stated in images:
        for octave in OCTAVES.tolist():
            for window in pick_windows(scale_image(rgb, stated * 2**octave, mpp)[0], predictor.version.config.stride):
                features.append(predictor.describe(window))
                octaves.append(octave)
    return np.asarray(features, np.float64), np.asarray(octaves)


def solve(features: NDArray[np.float64], octaves: NDArray[np.float64]) -> ScaleGuess:
    middle, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
    scaled = (features - middle) / spread
    gram = scaled.T @ scaled + RIDGE * np.eye(scaled.shape[1])
    weights = np.linalg.solve(gram, scaled.T @ (octaves - octaves.mean())) / spread
    bias = float(octaves.mean() - middle @ weights)
    return ScaleGuess(tuple(float(f"{w:.6g}") for w in weights), bias)
