module github.com/ptsecure/ptsecure/bindings/go/gonummat

go 1.24.0

require (
	github.com/ptsecure/ptsecure/bindings/go v0.0.0
	gonum.org/v1/gonum v0.17.0
)

replace github.com/ptsecure/ptsecure/bindings/go => ../
