"""The trainings of a study: each in a folder of its own, where it goes on after a kill."""
