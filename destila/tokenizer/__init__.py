"""Text to sub-words, each with its span of the original characters; no torch here."""
