"""Ki67 scoring: a detector of nuclei, the clinic's arithmetic around it, and the page that shows both."""

__version__ = "0.6.3"

RESEARCH_USE_ONLY = "For research use only. Not for use in diagnostic procedures."
