;; A: a component that imports wasi:nn/inference, and of the other interfaces the types that it uses and no function. No
;; context comes without a graph, so that it is linked says it all.
(component
  (import "wasi:nn/errors@0.2.0-rc-2024-10-28" (instance $errors
    (export "error" (type (sub resource)))))
  (alias export $errors "error" (type $error))
  (import "wasi:nn/tensor@0.2.0-rc-2024-10-28" (instance $tensors
    (export "tensor" (type (sub resource)))))
  (alias export $tensors "tensor" (type $tensor))
  (import "wasi:nn/inference@0.2.0-rc-2024-10-28" (instance $nn
    (alias outer 1 $error (type $error'))
    (export "error" (type $error (eq $error')))
    (alias outer 1 $tensor (type $tensor'))
    (export "tensor" (type $tensor (eq $tensor')))
    (type $named' (tuple string (own $tensor)))
    (export "named-tensor" (type $named (eq $named')))
    (export "graph-execution-context" (type $context (sub resource)))
    (export "[method]graph-execution-context.compute"
      (func (param "self" (borrow $context)) (param "inputs" (list $named))
        (result (result (list $named) (error (own $error))))))))
  (alias export $nn "graph-execution-context" (type $context))

  (core module $memory
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64)))
  (core instance $memory (instantiate $memory))
  (core func $compute (canon lower (func $nn "[method]graph-execution-context.compute")
    (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core func $drop (canon resource.drop $context))

  (core module $main
    (import "nn" "compute" (func (param i32 i32 i32 i32)))
    (import "nn" "drop" (func (param i32)))
    (func (export "run") (result i32) (i32.const 0)))
  (core instance $main (instantiate $main (with "nn" (instance
    (export "compute" (func $compute))
    (export "drop" (func $drop))))))

  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $run (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $run)))
