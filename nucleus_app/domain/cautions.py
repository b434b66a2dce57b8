"""What a reader must know before trusting an index. Sentences, in the order of weight."""

from __future__ import annotations

from collections.abc import Sequence

from nucleus_app.domain.index import MIN_TUMOUR_NUCLEI
from nucleus_app.domain.nuclei import Counts
from nucleus_app.domain.oddities import Oddity, is_refused, list_oddity_cautions
from nucleus_app.domain.scale import USUAL_MPP, PixelSize, is_usual

DIFFERENCE_WORTH_TELLING = 0.05


def list_cautions(
    counts: Counts,
    used: PixelSize,
    stated: PixelSize | None = None,
    notes: Sequence[str] = (),
    *,
    oddities: Sequence[Oddity] = (),
    confirmed: bool = False,
) -> tuple[str, ...]:
    """Warnings on one scored image: ``used`` is the pixel size it was scored at, ``stated`` the file's own;
    ``confirmed`` says that a person had it scored although it is odd.
    """
    cautions = list(list_oddity_cautions(oddities, confirmed=confirmed))
    if is_refused(oddities, confirmed=confirmed):
        pass  # nothing was looked for, so nothing was missed
    elif counts.tumour == 0:
        cautions.append(
            "No tumour nucleus was found: there is no index. Check that this is a Ki67-stained tumour field."
        )
    elif counts.tumour < MIN_TUMOUR_NUCLEI:
        cautions.append(
            f"Only {counts.tumour} tumour nuclei were counted; fewer than {MIN_TUMOUR_NUCLEI} give no reliable index."
        )
    if not is_usual(used.mpp):
        cautions.append(
            f"{used.mpp:g} µm/px is outside the usual {USUAL_MPP[0]:g} to {USUAL_MPP[1]:g}: check the pixel size."
        )
    if stated is not None and abs(stated.mpp / used.mpp - 1) > DIFFERENCE_WORTH_TELLING:
        cautions.append(f"The file states {stated.mpp:.3g} µm/px ({stated.source}), but {used.mpp:.3g} was used.")
    return (*cautions, *notes)
