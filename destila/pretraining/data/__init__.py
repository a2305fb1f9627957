"""Token shards to masked batches, as a function of a small cursor; no torch here."""
