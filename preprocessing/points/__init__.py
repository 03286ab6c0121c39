"""A watertight mesh -> salient edges, clouds, supervision, sample files."""
