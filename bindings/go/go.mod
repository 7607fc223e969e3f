module github.com/ptsecure/ptsecure/bindings/go

go 1.24
