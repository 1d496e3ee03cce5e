"""Pages about who may do what, where: the matrix, one part of it in full, and narrowing what is not used."""
