"""The wall: the only code that knows wasmtime."""
