"""What a pre-training needs before it is begun: memory, hours and disk."""
