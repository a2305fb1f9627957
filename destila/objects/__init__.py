"""A study and a model as objects, for those who work in Python or in a notebook."""
