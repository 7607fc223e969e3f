// What a call from Go costs over one from C, in one process, in turns: a 784-256-10 MLP, batch 1, one
// thread.
//
//	bench-go-infer FILE STORE REFERENCE KEYS ROUNDS CALLS
//
// Prints the nanoseconds of one call, one number a round, of each way. FILE, the model in plain, is
// for other languages.
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

func openModel(ctx context.Context, store, reference, keyFile string) (*ptsecure.Model, error) {
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
	return opened.Load(ctx, reference, keys, ptsecure.WithIntraOpThreads(1))
}

type result struct {
	Infer []float64 `json:"infer"`
	FromC []float64 `json:"from_c"`
}

// The first round of each isn't recorded.
func measure(store, reference, keyFile string, rounds, calls int) (result, error) {
	var all result
	ctx := context.Background()
	model, err := openModel(ctx, store, reference, keyFile)
	if err != nil {
		return all, err
	}
	defer model.Close()
	fromC, err := openFromC(store, reference, keyFile)
	if err != nil {
		return all, err
	}
	defer fromC.close()
	data := make([]float32, 784)
	for i := range data {
		data[i] = 1
	}
	input := ptsecure.NewTensor(data, 1, 784)
	for round := range rounds + 1 {
		c, err := fromC.perCall(calls)
		if err != nil {
			return all, err
		}
		one, err := perCall(ctx, model, input, calls)
		if err != nil {
			return all, err
		}
		if round > 0 {
			all.FromC = append(all.FromC, c)
			all.Infer = append(all.Infer, one)
		}
	}
	return all, nil
}

func run(args []string) error {
	rounds, err := strconv.Atoi(args[4])
	if err != nil {
		return err
	}
	calls, err := strconv.Atoi(args[5])
	if err != nil {
		return err
	}
	all, err := measure(args[1], args[2], args[3], rounds, calls)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(all)
}

func main() {
	if len(os.Args) != 7 {
		fmt.Fprintln(os.Stderr, "usage: bench-go-infer FILE STORE REFERENCE KEYS ROUNDS CALLS")
		os.Exit(2)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench-go-infer:", err)
		os.Exit(1)
	}
}
