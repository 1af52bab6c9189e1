;; A: a component that imports wasi:nn/errors alone. No error comes without a graph, so that it is linked says it all.
(component
  (import "wasi:nn/errors@0.2.0-rc-2024-10-28" (instance $nn
    (export "error" (type $error (sub resource)))
    (type $code' (enum "invalid-argument" "invalid-encoding" "timeout" "runtime-error" "unsupported-operation"
      "too-large" "not-found" "security" "unknown"))
    (export "error-code" (type $code (eq $code')))
    (export "[method]error.code" (func (param "self" (borrow $error)) (result $code)))
    (export "[method]error.data" (func (param "self" (borrow $error)) (result string)))))
  (alias export $nn "error" (type $error))

  (core module $memory
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64)))
  (core instance $memory (instantiate $memory))
  (core func $code (canon lower (func $nn "[method]error.code")))
  (core func $data (canon lower (func $nn "[method]error.data")
    (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core func $drop (canon resource.drop $error))

  (core module $main
    (import "nn" "code" (func (param i32) (result i32)))
    (import "nn" "data" (func (param i32 i32)))
    (import "nn" "drop" (func (param i32)))
    (func (export "run") (result i32) (i32.const 0)))
  (core instance $main (instantiate $main (with "nn" (instance
    (export "code" (func $code))
    (export "data" (func $data))
    (export "drop" (func $drop))))))

  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $run (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $run)))
