"""The page: Gradio lays it out and translates between fields and services. Nothing is decided here."""
