"""What commands do with a store as a whole, while a gateway runs or not."""
