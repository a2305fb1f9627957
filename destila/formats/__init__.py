"""Files that people label text in: tables, column files, CoNLL-U and SQuAD's JSON."""
