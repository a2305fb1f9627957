"""What a recipe asks for: its data, its teachers, its trainings, and the key by which each is known."""
