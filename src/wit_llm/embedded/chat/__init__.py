"""The packaged chat guest: `chat.c` on `wit_llm.h`, and the component that `build.py` makes of it."""
