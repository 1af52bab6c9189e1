"""The conformance suite's guests and models, with what they are made from."""
