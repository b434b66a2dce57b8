"""What an image can be that the network does not know, and what to tell the reader about it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Oddity(StrEnum):
    """How an image differs from a Ki67-stained bright-field field at its stated pixel size."""

    BLANK = "blank"
    DARK = "dark"
    NOISE = "noise"
    OTHER_STAIN = "other stain"
    NUCLEI_TOO_LARGE = "nuclei too large"
    NUCLEI_TOO_SMALL = "nuclei too small"
    BLURRED = "blurred"
    UNSURE = "unsure"

    @property
    def is_prohibitive(self) -> bool:
        """True where counting would invent tumour nuclei: nothing is counted until a person insists."""
        return self not in (Oddity.BLURRED, Oddity.UNSURE)

    @property
    def sentence(self) -> str:
        return SENTENCES[self]


SENTENCES = {
    Oddity.BLANK: "There is no tissue in this image.",
    Oddity.DARK: "This is no bright-field image: its ground is dark, as in fluorescence or with inverted colours.",
    Oddity.NOISE: "This image is noise without any structure.",
    Oddity.OTHER_STAIN: "The colours are not haematoxylin and DAB (they look like H&E or another stain).",
    Oddity.NUCLEI_TOO_LARGE: "Nuclei look about twice too large: check the pixel size (0.25 µm/px instead of 0.5?).",
    Oddity.NUCLEI_TOO_SMALL: "Nuclei look about half their size: check the pixel size (0.5 µm/px instead of 0.25?).",
    Oddity.BLURRED: "The image is blurred at its stated pixel size: pale and touching nuclei will be missed.",
    Oddity.UNSURE: "The network was unsure of about every second nucleus that it marked: check the pixel size, the stain and the focus, "
    "and look at the marks before you trust the numbers.",
}
HOW_TO_INSIST = (
    "Nothing was counted. If the image is right all the same, press Score again (on the command line: --anyway)."
)


def is_refused(oddities: Iterable[Oddity], *, confirmed: bool = False) -> bool:
    """True where nothing is counted; ``confirmed`` says that a person insists."""
    return not confirmed and any(oddity.is_prohibitive for oddity in oddities)


def list_oddity_cautions(oddities: Iterable[Oddity], *, confirmed: bool) -> tuple[str, ...]:
    """Sentences for the reader. ``confirmed``: a person insisted, so nuclei were counted nevertheless."""
    found = tuple(oddities)
    refused = is_refused(found, confirmed=confirmed)
    return (*(oddity.sentence for oddity in found), *((HOW_TO_INSIST,) if refused else ()))
