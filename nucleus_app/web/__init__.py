"""Routes of our own beside Gradio's (tiles, nuclei, cases, downloads) and the guard in front of both."""
