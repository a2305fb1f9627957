"""What a model costs: bytes, milliseconds and memory, each with its conditions."""
