"""Offsets that keep corners: the field of a mitred distance, and vertices on its creases."""
