"""What the REST API serves: one module for each kind of object, with its shapes and its routes."""
