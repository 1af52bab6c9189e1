;; A: a component that imports wasi:nn/graph, and of the other interfaces the types that it uses and no function. It loads
;; a graph that does not exist, and drops the error.
(component
  (import "wasi:nn/errors@0.2.0-rc-2024-10-28" (instance $errors
    (export "error" (type (sub resource)))))
  (alias export $errors "error" (type $error))
  (import "wasi:nn/graph@0.2.0-rc-2024-10-28" (instance $nn
    (alias outer 1 $error (type $error'))
    (export "error" (type $error (eq $error')))
    (export "graph" (type $graph (sub resource)))
    (export "load-by-name" (func (param "name" string) (result (result (own $graph) (error (own $error))))))))
  (alias export $nn "graph" (type $graph))

  (core module $memory
    (memory (export "memory") 1)
    (data (i32.const 0) "no-such-graph"))
  (core instance $memory (instantiate $memory))
  (core func $load (canon lower (func $nn "load-by-name") (memory (core memory $memory "memory"))))
  (core func $drop-graph (canon resource.drop $graph))
  (core func $drop-error (canon resource.drop $error))

  (core module $main
    (import "nn" "memory" (memory 1))
    (import "nn" "load" (func $load (param i32 i32 i32)))
    (import "nn" "drop-graph" (func $drop-graph (param i32)))
    (import "nn" "drop-error" (func $drop-error (param i32)))
    (func (export "run") (result i32)
      (call $load (i32.const 0) (i32.const 13) (i32.const 32))  ;; at 32 whether it failed, at 36 a handle
      (if (i32.load8_u (i32.const 32))
        (then (call $drop-error (i32.load (i32.const 36))))
        (else (call $drop-graph (i32.load (i32.const 36)))))
      (i32.eqz (i32.load8_u (i32.const 32)))))  ;; 0 is ok
  (core instance $main (instantiate $main (with "nn" (instance
    (export "memory" (memory $memory "memory"))
    (export "load" (func $load))
    (export "drop-graph" (func $drop-graph))
    (export "drop-error" (func $drop-error))))))

  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $run (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $run)))
