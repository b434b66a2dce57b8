"""Use cases: the only place where detector, images and database meet. No Gradio."""
