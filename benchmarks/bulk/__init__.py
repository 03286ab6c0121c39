"""Whole sets through a model, and what their files cost."""
