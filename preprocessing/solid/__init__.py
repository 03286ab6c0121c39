"""Any mesh -> a watertight one: the offset surface at eps."""
