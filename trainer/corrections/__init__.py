"""From what people said of signed cases to the examples that a run learns from and is judged by."""
