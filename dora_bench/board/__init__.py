"""What people see of results: printed tables, what may be ranked together, submissions."""
