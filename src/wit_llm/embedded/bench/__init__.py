"""The benchmark guest: `bench.c` and `json.c`, and the component that `build.py` makes of them."""
