"""Exported models over HTTP: an API, a stream, metrics and a page to try them; no torch."""
