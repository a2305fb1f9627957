"""Raw text of any size to shards of tokens: cleaned, filtered, without duplicates; no torch here."""
