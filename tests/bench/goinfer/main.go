// What a call from Go costs: a 784-256-10 MLP, batch 1, one thread.
//
//	bench-go-infer STORE REFERENCE KEYS ROUNDS CALLS    prints the nanoseconds of one call, a round each
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/ptsecure/ptsecure/bindings/go"
)

func perCall(ctx context.Context, model *ptsecure.Model, input *ptsecure.Tensor, calls int) (float64, error) {
	begin := time.Now()
	for range calls {
		if _, err := model.Infer(ctx, input); err != nil {
			return 0, err
		}
	}
	return float64(time.Since(begin).Nanoseconds()) / float64(calls), nil
}

func measure(store, reference, keyFile string, rounds, calls int) ([]float64, error) {
	ctx := context.Background()
	keys, err := ptsecure.LoadKeyring(keyFile)
	if err != nil {
		return nil, err
	}
	defer keys.Close()
	opened, err := ptsecure.OpenStore(ctx, store)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	model, err := opened.Load(ctx, reference, keys, ptsecure.WithIntraOpThreads(1))
	if err != nil {
		return nil, err
	}
	defer model.Close()
	data := make([]float32, 784)
	for i := range data {
		data[i] = 1
	}
	input := ptsecure.NewTensor(data, 1, 784)
	if _, err := perCall(ctx, model, input, calls); err != nil {
		return nil, err
	}
	var all []float64
	for range rounds {
		one, err := perCall(ctx, model, input, calls)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func run(args []string) error {
	rounds, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	calls, err := strconv.Atoi(args[4])
	if err != nil {
		return err
	}
	all, err := measure(args[0], args[1], args[2], rounds, calls)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"infer": all})
}

func main() {
	if len(os.Args) != 6 {
		fmt.Fprintln(os.Stderr, "usage: bench-go-infer STORE REFERENCE KEYS ROUNDS CALLS")
		os.Exit(2)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench-go-infer:", err)
		os.Exit(1)
	}
}
