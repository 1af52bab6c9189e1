"""Who computes: a file for each library, with no knowledge of each other, of WIT or of the channel."""
