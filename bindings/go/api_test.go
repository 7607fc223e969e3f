package ptsecure_test

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"
)

// No type of C can be in a public signature: only the internal raw layer imports C, and what it exports
// are Go's types and handles.
func TestOnlyTheRawLayerImportsC(t *testing.T) {
	files := must(filepath.Glob("*.go"))(t)
	if len(files) < 10 {
		t.Fatal(files)
	}
	for _, file := range files {
		source := must(parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly))(t)
		for _, imported := range source.Imports {
			if imported.Path.Value == `"C"` {
				t.Errorf("%s imports C", file)
			}
		}
	}
}
