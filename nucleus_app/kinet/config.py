"""What defines a network and travels with its weights: architecture, scale, proximity encoding, thresholds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from nucleus_app.domain.confidence import Confidence
from nucleus_app.domain.scale import NETWORK_MPP
from nucleus_app.errors import CheckpointError

RESIDUAL, UNET = "residual", "unet"
"""Names of the paper's own contraction and of InstanSeg's; any other is an encoder of segmentation-models-pytorch."""


@dataclass(frozen=True, slots=True)
class KiNetConfig:
    """Architecture and scale of one network. The defaults are the paper's."""

    contraction: str = RESIDUAL
    contraction_widths: tuple[int, ...] = (32, 64, 128, 256, 256)
    """Maps at strides 1, 2, 4, 8, 16 (only for the residual contraction; an encoder brings its own)."""
    expansion_widths: tuple[int, ...] = (512, 256, 128, 64)
    """Maps of the residual blocks at strides 8, 4, 2, 1, skip connection included."""
    context_width: int = 32
    """Maps that each of the two deeper expansion levels adds to the output block."""
    head_width: int = 16
    """Hidden maps per class in the output block."""
    roi_widths: tuple[int, ...] = (512, 512, 512, 256, 128, 64)
    """ROI sibling: its extra residual block at stride 32, then the blocks at strides 16, 8, 4, 2, 1."""
    dropout: float = 0.5
    """After the last two residual blocks of the contraction."""
    mpp: float = NETWORK_MPP
    """µm per pixel at which the network works."""
    proximity_radius_px: float = 8.0
    """d of Eq. 1, in network pixels."""
    proximity_decay: float = 3.0
    """α of Eq. 1."""

    @property
    def stride(self) -> int:
        """Input sides are padded to a multiple of this, so that a tile and the whole image share one pixel grid."""
        return 32

    @property
    def core_px(self) -> tuple[int, int]:
        """Height and width of a tile's core in network pixels: the largest whose window takes no more than 2 GB. Measured on a
        2048² field with the small network: a 1024² core costs a fifth more time in its halo, a 2048² core takes 3 GB
        (decision 0006).
        """
        return (1024, 1024) if self.contraction == UNET else (1024, 2048)

    @property
    def halo_px(self) -> int:
        """Halo in network pixels. The U-Net sees no further; of the others it was measured that beyond it a changed pixel
        moves a map by less than 1e-4 (decision 0004).
        """
        return 128 if self.contraction == UNET else 192


PAPER = KiNetConfig()

SMALL = KiNetConfig(
    contraction="tu-tf_efficientnet_lite0",
    contraction_widths=(),
    expansion_widths=(128, 72, 40, 20),
    context_width=8,
    head_width=8,
    roi_widths=(96, 144, 64, 32, 24, 8),
    dropout=0.1,
)
"""Quick on a CPU, ImageNet-pretrained contraction; what base-1 to base-4 were, and where ``HALF`` starts."""

HALF = replace(SMALL, expansion_widths=(128, 96, 48), context_width=16, head_width=16, roi_widths=(96, 144, 64, 32, 24))
"""The shipped default: the same contraction, but the expansion ends at half resolution, in widths that fill a processor's
vectors (decision 0006).
"""

LARGE = KiNetConfig(
    contraction=UNET,
    contraction_widths=(32, 64, 128, 256),
    expansion_widths=(128, 64, 32),
    context_width=8,
    head_width=16,
    roi_widths=(96, 96, 64),
    dropout=0.1,
)
"""For a GPU, or where seconds matter less than nuclei: InstanSeg's U-Net, trained on nuclei of many labs."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where a proximity becomes a nucleus. Absolute, calibrated on validation cases (decision 0004)."""

    per_class: tuple[float, float, float] = (0.25, 0.25, 0.25)
    min_distance_px: float = 7.0
    """Two nuclei are never closer than this, in network pixels."""
    smoothing_px: float = 1.5
    """Maps are smoothed by a Gaussian of this deviation first, so that one large nucleus has one maximum."""
    least_dip: float = 0.03
    """Between two nuclei the maps fall by at least this share of the weaker one; 0: they need not."""
    edge_px: float = 3.0
    """A nucleus centred nearer to the image's edge lies mostly outside of it and is not counted, in network pixels."""


@dataclass(frozen=True, slots=True)
class ScaleGuess:
    """Linear guess of log2(size of nuclei / their usual size) from a window's features; empty: no guess is made."""

    weights: tuple[float, ...] = ()
    bias: float = 0.0


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where weights come from."""

    name: str = "untrained"
    trained_on: tuple[str, ...] = ()
    created: str = ""
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def made(self) -> datetime:
        """When, with time zone; now where ``created`` does not say it."""
        try:
            made = datetime.fromisoformat(self.created)
        except ValueError:
            return datetime.now(UTC)
        return made if made.tzinfo else made.replace(tzinfo=UTC)


def to_mapping(value: KiNetConfig | Thresholds | Confidence | ScaleGuess | Provenance) -> dict[str, Any]:
    return asdict(value)


T = TypeVar("T", KiNetConfig, Thresholds, Confidence, ScaleGuess, Provenance)


def from_mapping(kind: type[T], mapping: dict[str, Any]) -> T:
    """Rebuild a config from JSON. Unknown keys are an error: they would be silently lost."""
    known = {f.name for f in fields(kind)}
    unknown = set(mapping) - known
    if unknown:
        raise CheckpointError(f"{kind.__name__} got unknown keys {sorted(unknown)}; known are {sorted(known)}")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in mapping.items()}
    return kind(**values)
