"""Model folders from one format into another."""
