"""Characters, tokens and numpy: everything between a user's string and a model's input; no torch here."""
