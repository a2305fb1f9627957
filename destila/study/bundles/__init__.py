"""A study packed so that its students can be trained again when its teachers are gone."""
