"""The front door: raw HTTP guarded, judged by its head, and sent to the surface that its path belongs to."""
