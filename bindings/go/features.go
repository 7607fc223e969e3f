package ptsecure

import "github.com/ptsecure/ptsecure/bindings/go/internal/raw"

// Version is the version of the library: "0.1.0".
func Version() string { return raw.Version() }

// Features is what the library was built with.
type Features struct {
	Version   string            `json:"version"`
	Formats   map[string]string `json:"formats"` // the engine that runs each; "" = none
	Stores    []string          `json:"stores"`
	OpenSSL   string            `json:"openssl"`
	Libmongoc string            `json:"libmongoc"`
	Torch     struct {
		Loaded  bool   `json:"loaded"`
		Version string `json:"version"`
	} `json:"torch"`
	SecretMemoryLocked bool `json:"secret_memory_locked"`
}

// LibraryFeatures asks the library; it doesn't load torch.
func LibraryFeatures() (Features, error) { return asked[Features](raw.Features()) }
