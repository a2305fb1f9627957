"""What a model costs: bytes, milliseconds and memory, each with the conditions it was measured under."""
