"""Who is calling: a grant, a header of a trusted proxy, or nobody in particular."""
