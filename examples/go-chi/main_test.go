package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ptsecure/ptsecure/bindings/go"
)

func must[T any](value T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// startMongod starts a real server and returns a database's URI.
func startMongod(t *testing.T) string {
	script := func(verb string, folder string) *exec.Cmd {
		return exec.Command(os.Getenv("PTSECURE_PYTHON"), "../../tests/mongod.py", verb, folder)
	}
	folder := t.TempDir()
	start := script("start", folder)
	start.Stderr = os.Stderr
	out := must(start.Output())(t)
	t.Cleanup(func() { script("stop", folder).Run() })
	return strings.Replace(strings.TrimSpace(string(out)), "/?", "/models?", 1)
}

// publish puts the digits into the store and makes two API keys: one for them, one for something else.
func publish(t *testing.T, uri, openerFile string) (digitsKey, otherKey string) {
	ctx := context.Background()
	keys := must(ptsecure.GenerateKeyring())(t)
	defer keys.Close()
	opener := must(keys.Split(ptsecure.Opener))(t)
	defer opener.Close()
	if err := opener.Save(openerFile, ""); err != nil {
		t.Fatal(err)
	}
	store := must(ptsecure.OpenStore(ctx, uri))(t)
	defer store.Close()
	sample := must(ptsecure.ParseNpy(must(os.ReadFile("../digits/sample.npy"))(t)))(t)
	must(store.Publish(ctx, "digits", ptsecure.File("../digits/digits.pt"), keys, ptsecure.WithAlias("production"), ptsecure.WithSample(sample)))(t)
	texts := make([]string, 0, 2)
	for _, model := range []string{"digits", "other"} {
		secret, _, err := store.CreateAPIKey(ctx, ptsecure.NewAPIKey{Owner: "shop", Models: []string{model}}, keys)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(secret.Bytes()))
		secret.Close()
	}
	return texts[0], texts[1]
}

// start builds and runs the service and returns its address, and what ends it and returns its log.
func start(t *testing.T, arguments ...string) (url string, stop func() string) {
	program := filepath.Join(t.TempDir(), "go-chi")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%s\n%v", out, err)
	}
	service := exec.Command(program, arguments...)
	var log bytes.Buffer
	service.Stdout = &log
	stderr := must(service.StderrPipe())(t)
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	first, _ := lines.ReadString('\n')
	stop = sync.OnceValue(func() string {
		service.Process.Signal(syscall.SIGTERM)
		rest, _ := io.ReadAll(lines)
		if err := service.Wait(); err != nil {
			t.Errorf("the service ended with %v:\n%s%s", err, first, rest)
		}
		return log.String() + string(rest)
	})
	t.Cleanup(func() { stop() })
	address := regexp.MustCompile(`serving digits/1 on (http://\S+)`).FindStringSubmatch(first)
	if address == nil {
		t.Fatalf("the service said %q", first)
	}
	return address[1], stop
}

type answer struct {
	status int
	header http.Header
	text   string
}

func ask(t *testing.T, method, url, key, body string) answer {
	t.Helper()
	r := must(http.NewRequest(method, url, strings.NewReader(body)))(t)
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	reply := must((&http.Client{Timeout: 20 * time.Second}).Do(r))(t)
	defer reply.Body.Close()
	return answer{reply.StatusCode, reply.Header, string(must(io.ReadAll(reply.Body))(t))}
}

func TestService(t *testing.T) {
	uri, opener := startMongod(t), filepath.Join(t.TempDir(), "opener.jwks")
	key, other := publish(t, uri, opener)
	url, stop := start(t, "-listen", "127.0.0.1:0", "-store", uri, "-keys", opener, "-per-minute", "25")

	if a := ask(t, "GET", url+"/healthz", "", ""); a.status != 200 {
		t.Fatal(a)
	}
	for key, status := range map[string]int{"": 401, key[:63] + "-": 401, "nonsense": 401, other: 403} {
		if a := ask(t, "POST", url+"/predict", key, `{"rows":[]}`); a.status != status || !strings.Contains(a.text, `"error"`) {
			t.Fatal(status, a)
		}
	}
	if a := ask(t, "GET", url+"/model", key, ""); a.status != 200 || !strings.Contains(a.text, `"shape":[-1,1,8,8]`) {
		t.Fatal(a)
	}

	// Pictures that training never saw, and what they show.
	images := must(ptsecure.ParseNpy(must(os.ReadFile("../digits/heldout_images.npy"))(t)))(t)
	labels := must(ptsecure.ParseNpy(must(os.ReadFile("../digits/heldout_labels.npy"))(t)))(t)
	pixels, truth := must(ptsecure.Data[float32](images))(t), must(ptsecure.Data[int64](labels))(t)
	rows := slices.Collect(slices.Chunk(pixels, 64))
	body := must(json.Marshal(map[string]any{"rows": rows}))(t)
	a := ask(t, "POST", url+"/predict", key, string(body))
	var got response
	if err := json.Unmarshal([]byte(a.text), &got); err != nil || a.status != 200 || got.Model != "digits/1" || len(got.Rows) != len(truth) || len(got.Rows[0]) != 10 {
		t.Fatal(a.status, a.text[:min(200, len(a.text))], err)
	}
	right := 0
	for i, best := range got.Best {
		if int64(best) == truth[i] {
			right++
		}
	}
	if right*100 < 95*len(truth) {
		t.Fatalf("%d of %d are right", right, len(truth))
	}

	row := must(json.Marshal(rows[0]))(t)
	for body, status := range map[string]int{
		``: 400, `[`: 400, `{}`: 400, `{"rows":[]}`: 400, `{"rows":[[]]}`: 400, `{"rows":[[1,2],[3]]}`: 400,
		`{"rows":[["a"]]}`: 400, `{"rows":[[1]],"more":1}`: 400, `{"rows":[[1]]} {}`: 400,
		`{"rows":` + strings.Repeat("[", 100_000): 400, `{"rows":null}`: 400, `{"rows":[null]}`: 400, "\xff": 400,
		`{"rows":[[1,2,3]]}`: 400, `{"rows":[[1e999]]}`: 400,
		`{"rows":[` + strings.Repeat("[1],", 2<<20) + `[1]]}`: 413,
		fmt.Sprintf(`{"rows":[%s,%s]}`, row, row):             200,
	} {
		if a := ask(t, "POST", url+"/predict", key, body); a.status != status {
			t.Fatal(status, a, body[:min(60, len(body))])
		}
	}
	// Over the rate.
	var last answer
	for range 25 {
		last = ask(t, "GET", url+"/model", key, "")
	}
	if last.status != 429 || last.header.Get("Retry-After") == "" {
		t.Fatal(last)
	}
	// It logs requests but no secrets, and ends by itself when asked to.
	if log := stop(); !strings.Contains(log, "/predict") || strings.Contains(log, key[20:]) {
		t.Fatal(log)
	}
}
