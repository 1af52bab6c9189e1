#!/bin/sh
# What `make demo` shows: a WebAssembly component chats with the embedded model, streamed token by token.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"

show() { # a command line, and then what it prints
    echo "\$ $1"
    eval "$1"
}
show "wit-llm run --graph tiny src/wit_llm/embedded/chat/chat.wasm --transcript tiny < examples/demo.txt"

cat <<'END'

That was a component in a sandbox; each answer came token by token through wasi:nn/graph and wit-llm:nn/prompt.
`tiny` knows some 165 lines by heart and nothing else. Now you:

  .venv/bin/wit-llm chat                               talk to it
  .venv/bin/wit-llm graphs tiny                        see what the graph takes and gives
  .venv/bin/wit-llm chat --graph mine=FOLDER "Hello!"  a model of your own: an OpenVINO or transformers folder
END
