package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The program as a user builds and runs it.
func TestProgram(t *testing.T) {
	program := filepath.Join(t.TempDir(), "digits")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%s\n%v", out, err)
	}
	model, err := filepath.Abs("../digits/digits.pt")
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	for _, version := range []string{"1", "2"} {
		run := exec.Command(program, model, filepath.Join(filepath.Dir(model), "sample.npy"))
		run.Dir = work
		out, err := run.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "published digits/"+version) || strings.Count(string(out), "\npicture ") != 8 {
			t.Fatalf("%s\n%v", out, err)
		}
	}
}
