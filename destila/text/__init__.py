"""Characters, tokens and numpy: what training, prediction and every runtime share; no torch."""
