"""Many items: object stores, and runs that last."""
