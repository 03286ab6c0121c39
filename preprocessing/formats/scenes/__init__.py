"""Formats that hold whole scenes: FBX, COLLADA, X3D, 3MF."""
