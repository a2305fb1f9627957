"""Raw text of any size to shards of tokens: clean, filtered, without duplicates; no torch here."""
