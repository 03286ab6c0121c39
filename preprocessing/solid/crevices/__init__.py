"""Crevices thinner than a cell, meshed on a finer grid of their own."""
