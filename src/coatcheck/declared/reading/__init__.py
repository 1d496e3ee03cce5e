"""How a file is read: positions, places and their problems, expansion, and the forms that values take."""
