"""How one run is trained; stored with the run and with the weights it makes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrainPolicy:
    """Hyper-parameters of a run. Symbols are those of Xing et al. 2019."""

    steps: int = 6000
    stop_after: int | None = None
    """End here, in the middle of the schedule of ``steps``: for a mean of weights, which needs no last small steps."""
    batch: int = 8
    crop_px: int = 224
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-4
    lambda_: float = 5.0
    """λ of Eq. 2: weight of the batch's mean proximity, by class, in every pixel's weight."""
    background_weight: float = 0.02
    """Floor of a pixel's weight. Eq. 2 alone gives none to a class without nuclei in the crop."""
    eta: float = 1e-3
    """η of Eq. 3, for a correlation averaged over pixels (the paper's 1e-6 is for a sum over 200 × 200)."""
    eta_off_steps: float = 0.1
    """Share of the run before the correlation penalty sets in (the paper: 10⁴ of 10⁵ iterations)."""
    gamma: float = 25.0
    """γ of Eq. 5: nucleus loss against ROI loss."""
    roi_every: int = 1
    """The ROI sibling learns at every so many steps; it takes a third of a step's time."""
    ema_decay: float = 0.998
    weak_weight: float = 0.5
    """Weight of nucleus supervision derived from weak regions."""
    auxiliary_weight: float = 0.5
    """Weight of the auxiliary images' nuclei (1/γ of MicroNet)."""
    auxiliary_variants: int = 1
    """Restained copies of each auxiliary image."""
    unlabelled_weight: float = 0.5
    """Weight of what a teacher found in unlabelled images."""
    mentor_share: float = 0.5
    """How much of the target is the mentor's answer where there are labels."""
    mentor_open_weight: float = 0.5
    """Weight of the mentor's answer where there are none."""
    set_shares: tuple[tuple[str, float], ...] = ()
    """Sets (first words of image names) whose crops are drawn so many times as often as their nuclei say."""
    evaluate_every: int = 500
    patience: int = 8
    """Stop after this many evaluations without a better one."""
    keep_last: bool = False
    """Keep the last version, whose steps were the smallest, not the best of several by a noisy validation."""
    keep_each: bool = False
    """Beside the best, also keep the version of every evaluation, for a mean of weights."""
    seed: int = 20190701

    @property
    def last_step(self) -> int:
        return min(self.steps, self.stop_after or self.steps)
