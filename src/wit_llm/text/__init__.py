"""Text in, text out: sessions over a graph that takes tokens."""
