"""Catalogue + recipe → trained networks. Keras is loaded in `models` and in what asks for it."""
