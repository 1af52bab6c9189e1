"""How models mark what they think and which tools they call: a family a file."""
