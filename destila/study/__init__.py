"""The main job: from a recipe to trained, tested and measured models and their report."""
