"""Other ways for a teacher to label than by its own model here: in 8 bits, on a cluster."""
