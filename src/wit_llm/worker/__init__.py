"""A loaded graph is a process: the messages to it, its loop, and the host's end of it."""
