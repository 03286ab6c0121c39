"""Benchmarks of the watertight stage that need no peer."""
