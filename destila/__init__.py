"""destila: from labelled Spanish text and a big teacher to a small, fast, measured encoder."""

__version__ = "0.1.0"
