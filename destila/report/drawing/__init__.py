"""Score against cost, as numbers and as pictures."""
