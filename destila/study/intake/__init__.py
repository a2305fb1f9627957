"""What happens before a study: data files are looked at, and become recipes."""
