;; A: a component that imports wasi:nn/tensor alone, makes a tensor of one byte and reads it back.
(component
  (import "wasi:nn/tensor@0.2.0-rc-2024-10-28" (instance $nn
    (export "tensor" (type $tensor (sub resource)))
    (type $dimensions' (list u32))
    (export "tensor-dimensions" (type $dimensions (eq $dimensions')))
    (type $type' (enum "FP16" "FP32" "FP64" "BF16" "U8" "I32" "I64"))
    (export "tensor-type" (type $type (eq $type')))
    (type $data' (list u8))
    (export "tensor-data" (type $data (eq $data')))
    (export "[constructor]tensor"
      (func (param "dimensions" $dimensions) (param "ty" $type) (param "data" $data) (result (own $tensor))))
    (export "[method]tensor.data" (func (param "self" (borrow $tensor)) (result $data)))))
  (alias export $nn "tensor" (type $tensor))

  (core module $memory
    (memory (export "memory") 1)
    (data (i32.const 0) "\01\00\00\00*")  ;; dimensions [1], data "*"
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64)))
  (core instance $memory (instantiate $memory))
  (core func $make (canon lower (func $nn "[constructor]tensor") (memory (core memory $memory "memory"))))
  (core func $read (canon lower (func $nn "[method]tensor.data")
    (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core func $drop (canon resource.drop $tensor))

  (core module $main
    (import "nn" "memory" (memory 1))
    (import "nn" "make" (func $make (param i32 i32 i32 i32 i32) (result i32)))
    (import "nn" "read" (func $read (param i32 i32)))
    (import "nn" "drop" (func $drop (param i32)))
    (func (export "run") (result i32)
      (local $tensor i32)
      (local.set $tensor (call $make (i32.const 0) (i32.const 1) (i32.const 4) (i32.const 4) (i32.const 1)))
      (call $read (local.get $tensor) (i32.const 32))  ;; pointer and length at 32
      (call $drop (local.get $tensor))
      (i32.or  ;; 0 is ok
        (i32.ne (i32.load (i32.const 36)) (i32.const 1))
        (i32.ne (i32.load8_u (i32.load (i32.const 32))) (i32.const 42)))))
  (core instance $main (instantiate $main (with "nn" (instance
    (export "memory" (memory $memory "memory"))
    (export "make" (func $make))
    (export "read" (func $read))
    (export "drop" (func $drop))))))

  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $run (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $run)))
