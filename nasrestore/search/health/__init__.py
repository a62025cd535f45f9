"""Search health: what goes wrong in a search without a word, found and said in plain sentences."""
