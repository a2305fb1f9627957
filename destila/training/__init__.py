"""The loop for labelled data, the step it shares with pre-training, and torch prediction."""
