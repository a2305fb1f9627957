"""Differences between models of a study, with their intervals."""
