"""Catalogue + recipe → trained networks. Keras is loaded by `models` and its importers."""
