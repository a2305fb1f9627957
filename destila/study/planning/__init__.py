"""What a recipe asks for: data, teachers and trainings, each with the key that names it."""
