"""What operators made: rows that cannot be edited unnoticed, their log of changes, and who was last seen."""
