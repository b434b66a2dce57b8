"""The detector: KiNet (Xing et al., IEEE TBME 2019). Knows images and maps; no database, no web."""
