"""Exact distances of points to a triangle mesh."""
