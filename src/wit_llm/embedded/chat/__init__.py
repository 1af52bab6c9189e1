"""The packaged chat guest: `chat.c`, and the component that `build.py` makes of it."""
