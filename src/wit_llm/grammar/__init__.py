"""What a reply may say: constraints of every kind as one automaton, and the tokens that it lets through."""
