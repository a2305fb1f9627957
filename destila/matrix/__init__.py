"""Published tables: one file is a study for each of its models on each of its data sets."""
