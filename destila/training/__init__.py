"""The one training loop, its batches, its optimiser, and prediction with torch."""
