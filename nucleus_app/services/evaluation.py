"""``evaluate``: judge a version on a folder of labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nucleus_app.domain.agreement import Tally
from nucleus_app.imaging.dataset import read_datasets
from nucleus_app.kinet.evaluation import Evaluation, RadiusPx, evaluate
from nucleus_app.kinet.predictor import Predictor


def evaluate_folder(predictor: Predictor, folder: Path, radius: RadiusPx, only: tuple[str, ...] = ()) -> dict[str, Any]:
    """Evaluate on every labelled image of a folder, or on those whose names start with one of ``only``."""
    images = (i for i in read_datasets([folder]) if not only or i.name.startswith(only))
    return evaluation_to_mapping(evaluate(predictor, images, radius))


def evaluation_to_mapping(result: Evaluation) -> dict[str, Any]:
    """An evaluation as JSON types."""
    agreement, distance = result.agreement, result.agreement.distance_px
    return {
        "detection": _tally(agreement.detection)
        | {
            "distance_px_mean": float(np.mean(distance)) if len(distance) else None,
            "distance_px_sd": float(np.std(distance)) if len(distance) else None,
        },
        "classification": {
            "per_class": {k.slug: _tally(agreement.of_class(k)) for k in agreement.classes_in_truth},
            "weighted": agreement.weighted._asdict(),
            "auc": result.auc,
        },
        "index": {
            "mean_abs_error_points": agreement.index_mae_points,
            "per_image": [
                {"name": i.name, "truth_percent": i.true_percent, "found_percent": i.found_percent}
                for i in agreement.images
            ],
        },
        "n_images": len(agreement.images),
        "n_nuclei": result.n_nuclei,
        "seconds": result.seconds,
        "megapixels": result.megapixels,
    }


def _tally(tally: Tally) -> dict[str, float | int]:
    return tally._asdict() | {"precision": tally.precision, "recall": tally.recall, "f1": tally.f1}
