"""What people edit policies by: rows, the document as YAML, and what it does in sentences."""
