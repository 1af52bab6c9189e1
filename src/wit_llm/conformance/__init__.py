"""The conformance suite of wasi-nn: guests that look at a host from inside, and what drives them."""
