package ptsecure_test

import (
	"testing"

	"github.com/ptsecure/ptsecure/bindings/go"
)

// BenchmarkInferEcho is what a call costs beyond the model: the model returns its input.
func BenchmarkInferEcho(b *testing.B) {
	model := loaded(b, "echo")
	data := make([]float32, 64)
	b.Run("Infer", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := model.Infer(background, ptsecure.NewTensor(data, 1, 1, 8, 8)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Run", func(b *testing.B) {
		b.ReportAllocs()
		input := []ptsecure.Value{ptsecure.NewTensor(data, 1, 1, 8, 8)}
		for b.Loop() {
			result, err := model.Run(background, ptsecure.Request{Inputs: input})
			if err != nil {
				b.Fatal(err)
			}
			result.Close()
		}
	})
}
