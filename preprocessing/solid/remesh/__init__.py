"""A better triangulation of an offset surface: chords near the offset, no slivers."""
