module go-chi

go 1.24.0

require (
	github.com/go-chi/chi/v5 v5.5.0
	github.com/go-chi/httprate v0.16.1
	github.com/ptsecure/ptsecure/bindings/go v0.0.0
	github.com/ptsecure/ptsecure/bindings/go/gonummat v0.0.0
	gonum.org/v1/gonum v0.17.0
)

require (
	github.com/klauspost/cpuid/v2 v2.2.10 // indirect
	github.com/zeebo/xxh3 v1.0.2 // indirect
	golang.org/x/sys v0.30.0 // indirect
)

replace (
	github.com/ptsecure/ptsecure/bindings/go => ../../bindings/go
	github.com/ptsecure/ptsecure/bindings/go/gonummat => ../../bindings/go/gonummat
)
