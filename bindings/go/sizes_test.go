package ptsecure_test

import (
	"testing"

	"github.com/ptsecure/ptsecure/bindings/go"
)

// Answers of up to 4 KiB come back with the call, larger ones by another.
func TestSmallAndLargeAnswersAreCopies(t *testing.T) {
	leakless(t)
	model := loaded(t, "copy")
	for _, n := range []int{1, 4095, 4096, 4097, 100000} {
		data := make([]uint8, n)
		for i := range data {
			data[i] = uint8(i)
		}
		first := must(model.Infer(background, ptsecure.NewTensor(data, n, 1)))(t)
		second := must(model.Infer(background, ptsecure.NewTensor(make([]uint8, n), n, 1)))(t)
		equal(t, first, data...)
		equal(t, second, make([]uint8, n)...)
	}
}

func numbers(from, count int) []uint8 {
	data := make([]uint8, count)
	for i := range data {
		data[i] = uint8(from + i%50)
	}
	return data
}

// Small inputs are copied, one behind the other, and large ones lent. What a call left in its record
// must not be seen by the next, of other shapes or another model.
func TestSmallAndLargeInputs(t *testing.T) {
	leakless(t)
	model, other := loaded(t, "join"), loaded(t, "copy")
	for _, sizes := range [][]int{
		{1, 2, 3, 4}, {4000, 60, 1, 40}, {4, 3, 2, 1}, {4095, 1, 1, 9}, {0, 4096, 5000, 2}, {5000, 64, 6000, 3900}, {1, 2, 3, 4},
	} {
		var inputs []ptsecure.Value
		var joined []uint8
		for i, n := range sizes {
			data := numbers(i*50, n)
			joined = append(joined, data...)
			inputs = append(inputs, ptsecure.NewTensor(data))
		}
		for range 2 {
			equal(t, must(model.Infer(background, inputs...))(t), joined...)
			equal(t, must(other.Infer(background, ptsecure.NewTensor(numbers(7, sizes[0]), sizes[0], 1)))(t), numbers(7, sizes[0])...)
		}
		result := must(model.Run(background, ptsecure.Request{Inputs: inputs}))(t)
		equal(t, must(result.Value())(t), joined...)
		result.Close()
		five := append(inputs, ptsecure.NewTensor([]uint8{9}))
		equal(t, must(model.Call(background, "five", five...))(t), append(joined, 9)...)
	}
}

func TestSmallInputsBesideOtherValues(t *testing.T) {
	leakless(t)
	model := loaded(t, "join")
	for by := range 3 {
		a, b := ptsecure.NewTensor([]int64{1, 2, int64(by)}), ptsecure.NewTensor([]int64{7})
		sum := must(model.Call(background, "scaled", a, ptsecure.Int(by), b))(t)
		equal(t, sum, int64(by), int64(2*by), int64(by*by), 7)
	}
}

// What came back goes in again, whatever its rank.
func TestAnswersAreInputsAgain(t *testing.T) {
	leakless(t)
	model := loaded(t, "copy")
	for _, shape := range [][]int{{2}, {1, 2}, {1, 1, 2, 1}, {1, 2, 1, 1, 1}, {1, 1, 1, 1, 1, 2}} {
		answer := must(model.Infer(background, ptsecure.NewTensor([]float32{3, 4}, shape...)))(t).(*ptsecure.Tensor)
		npy := must(answer.Npy())(t)
		equal[float32](t, must(ptsecure.ParseNpy(npy))(t), 3, 4)
		equal[float32](t, must(model.Infer(background, answer))(t), 3, 4)
		everything := loaded(t, "everything")
		inputs := []ptsecure.Value{
			answer, ptsecure.Int(3), ptsecure.Float(0.5), ptsecure.String(""), ptsecure.Bool(true),
			ptsecure.List{answer}, ptsecure.Dict{{"a", answer}}, ptsecure.Tuple{ptsecure.Int(4), answer},
		}
		must(everything.Infer(background, inputs...))(t)
	}
}
