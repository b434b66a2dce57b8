"""Reading images: pixels, pixel size and its source, tiles, labelled folders, and the synthetic field."""
