"""What a reader must know before trusting an index. Sentences, in the order of weight."""

from __future__ import annotations

from collections.abc import Sequence

from nucleus_app.domain.index import MIN_TUMOUR_NUCLEI
from nucleus_app.domain.nuclei import Counts
from nucleus_app.domain.oddities import Oddity, list_oddity_cautions
from nucleus_app.domain.scale import USUAL_MPP, PixelSize, is_usual

DIFFERENCE_WORTH_TELLING = 0.05


def list_image_cautions(
    used: PixelSize,
    stated: PixelSize | None = None,
    notes: Sequence[str] = (),
    *,
    oddities: Sequence[Oddity] = (),
    confirmed: bool = False,
) -> tuple[str, ...]:
    """What is wrong with a scored image, whatever was counted in which part of it: ``used`` is the pixel size it was
    scored at, ``stated`` the file's own; ``confirmed`` says that a person had it scored although it is odd.
    """
    cautions = list(list_oddity_cautions(oddities, confirmed=confirmed))
    if not is_usual(used.mpp):
        cautions.append(
            f"{used.mpp:g} µm/px is outside the usual {USUAL_MPP[0]:g} to {USUAL_MPP[1]:g}: check the pixel size."
        )
    if stated is not None and abs(stated.mpp / used.mpp - 1) > DIFFERENCE_WORTH_TELLING:
        cautions.append(f"The file states {stated.mpp:.3g} µm/px ({stated.source}), but {used.mpp:.3g} was used.")
    return (*cautions, *notes)


def list_count_cautions(counts: Counts | None) -> tuple[str, ...]:
    """Why what was counted gives no index, or none to rely on. None: nothing was looked for, so nothing was missed."""
    if counts is None:
        return ()
    if counts.tumour == 0:
        return ("No tumour nucleus was found: there is no index. Check that this is a Ki67-stained tumour field.",)
    return (say_sparse(counts.tumour),) if counts.tumour < MIN_TUMOUR_NUCLEI else ()


def say_sparse(tumour: int) -> str:
    """Of so few tumour nuclei that they give no reliable index."""
    were = "nucleus was" if tumour == 1 else "nuclei were"
    return f"Only {tumour} tumour {were} counted; fewer than {MIN_TUMOUR_NUCLEI} give no reliable index."
