"""What is in a file: counts, faults, pictures, a page."""
