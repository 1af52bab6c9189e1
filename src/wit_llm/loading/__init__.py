"""Graphs that guests bring as bytes: what the bytes are, what of them is refused, and the confined worker they get."""
