"""Finished models in tools that people have: spaCy, presidio, scikit-learn; each an extra."""
