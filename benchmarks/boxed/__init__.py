"""The model in the box: what it was trained on, and what its card says."""
