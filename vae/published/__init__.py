"""Published vecset VAEs: their files, layouts and settings, read into our own model."""
