"""Data sets: how each is read, and the facts that the run and the model keep of it."""
