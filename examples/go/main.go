// Seals a model, opens it again and runs it on pictures of digits.
//
//	go build -o digits . && ./digits ../digits/digits.pt ../digits/sample.npy
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/ptsecure/ptsecure/bindings/go"
)

// The keys of this example, made on its first run.
func loadOrMakeKeys(path string) (*ptsecure.Keyring, error) {
	keys, err := ptsecure.LoadKeyring(path)
	if !errors.Is(err, ptsecure.ErrNotFound) {
		return keys, err
	}
	if keys, err = ptsecure.GenerateKeyring(); err != nil {
		return nil, err
	}
	fmt.Printf("made %s: whoever has it can open and publish models\n", path)
	return keys, keys.Save(path, "")
}

func loadNpy(path string) (*ptsecure.Tensor, error) {
	npy, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return ptsecure.ParseNpy(npy)
}

func printDigits(probabilities ptsecure.Value) error {
	rows, err := ptsecure.Data[float32](probabilities)
	if err != nil {
		return err
	}
	for i := 0; i*10 < len(rows); i++ {
		row, best := rows[i*10:i*10+10], 0
		for digit, p := range row {
			if p > row[best] {
				best = digit
			}
		}
		fmt.Printf("picture %d: %d (%.1f %%)\n", i, best, 100*row[best])
	}
	return nil
}

func run(ctx context.Context, modelFile, imagesFile string) error {
	keys, err := loadOrMakeKeys("keys.jwks")
	if err != nil {
		return err
	}
	defer keys.Close()
	store, err := ptsecure.OpenStore(ctx, "models")
	if err != nil {
		return err
	}
	defer store.Close()
	images, err := loadNpy(imagesFile)
	if err != nil {
		return err
	}

	version, err := store.Publish(ctx, "digits", ptsecure.File(modelFile), keys,
		ptsecure.WithAlias("production"),
		ptsecure.WithSample(images)) // so that datatypes and shapes are known and checked
	if err != nil {
		return err
	}
	fmt.Printf("published digits/%d in ./models\n", version)

	model, err := store.Load(ctx, "digits@production", keys)
	if err != nil {
		return err
	}
	defer model.Close()
	answer, err := model.Infer(ctx, images)
	if err != nil {
		return err
	}
	return printDigits(answer)
}

func main() {
	if len(os.Args) != 3 {
		log.Fatalf("usage: %s MODEL.pt IMAGES.npy", os.Args[0])
	}
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}
