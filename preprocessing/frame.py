"""The normalised frame: the cube that every grid, sample and field of this house covers."""

HALF_WIDTH = 1.05
"""Half its side: a mesh spans [-1, 1], and its offset surface reaches eps < 0.05 beyond."""
