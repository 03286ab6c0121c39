"""The volume-based rival: a sparse-voxel VAE of XCube's kind, in plain PyTorch."""
