"""The viewer as a Gradio component, with its own script and style in ``static``."""
