"""What guests in C are made with: the header `wit_llm.h`, the build, and the step that makes a component."""
