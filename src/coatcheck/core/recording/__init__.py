"""What is on record, as it is written, shown, chained and proved."""
