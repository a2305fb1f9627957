"""The version of the package; on the ground, so that records and caches can name it."""

__version__ = "0.2.0"
