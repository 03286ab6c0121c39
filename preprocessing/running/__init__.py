"""Many meshes: lists, ids, ledgers, isolated children, Ray."""
