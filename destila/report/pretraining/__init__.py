"""Reports of pre-trainings: what they came to, in words, tables and curves."""
