module example.org/ptsecure/bench/infer

go 1.24

require github.com/ptsecure/ptsecure/bindings/go v0.0.0

replace github.com/ptsecure/ptsecure/bindings/go => ../../../bindings/go
