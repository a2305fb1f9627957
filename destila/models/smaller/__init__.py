"""A smaller model made of a bigger one: fewer pieces, narrower embeddings, fewer neurons."""
