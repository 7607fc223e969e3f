// A model service: rows of numbers in, rows of numbers out. See README.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/go-chi/httprate"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/ptsecure/ptsecure/bindings/go"
	"github.com/ptsecure/ptsecure/bindings/go/gonummat"
)

const maxBody = 4 << 20

type service struct {
	model *ptsecure.Model
	keys  *ptsecure.APIKeyChecker
}

func (s *service) routes(perMinute int) http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.RequestID, middleware.Logger, middleware.Recoverer)
	r.Get("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	r.Group(func(r chi.Router) {
		r.Use(httprate.Limit(perMinute, time.Minute, httprate.WithKeyFuncs(httprate.KeyByIP), httprate.WithLimitHandler(tooMany)))
		r.Use(s.requireAPIKey)
		r.Get("/model", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, s.model.Metadata()) })
		r.Post("/predict", s.predict)
	})
	return r
}

// requireAPIKey lets pass who shows an API key that may use the model: one that an operator made in the
// same store. Disabling it there takes effect here within a second.
func (s *service) requireAPIKey(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		holder, err := s.keys.Check(token, ptsecure.APIKeyRequest{Model: s.model.Name()})
		if errors.Is(err, ptsecure.ErrRateLimited) {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(holder.RetryAfter.Seconds()))))
		}
		if err != nil {
			refuse(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

type request struct {
	Rows [][]float64 `json:"rows"`
}

type response struct {
	Model string      `json:"model"`
	Rows  [][]float64 `json:"rows"`
	Best  []int       `json:"best"` // the index of the largest number of each row
}

func (s *service) predict(w http.ResponseWriter, r *http.Request) {
	rows, err := readRows(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, err)
		return
	}
	// Rows of numbers become what the model takes, [-1, 1, 8, 8] for the digits.
	shape := slices.Clone(s.model.Metadata().Inputs[0].Shape)
	shape[0], _ = rows.Dims()
	answer, err := s.model.Infer(r.Context(), gonummat.Convert[float32](rows, shape...))
	if err != nil {
		refuse(w, err)
		return
	}
	probabilities, err := gonummat.Dense(answer)
	if err != nil {
		refuse(w, err)
		return
	}
	out := response{Model: fmt.Sprintf("%s/%d", s.model.Name(), s.model.Version())}
	for i := range probabilities.RawMatrix().Rows {
		row := probabilities.RawRowView(i)
		out.Rows, out.Best = append(out.Rows, row), append(out.Best, floats.MaxIdx(row))
	}
	reply(w, http.StatusOK, out)
}

func readRows(body io.Reader) (*mat.Dense, error) {
	decoder := json.NewDecoder(body)
	decoder.DisallowUnknownFields()
	var in request
	if err := decoder.Decode(&in); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("there is something after the JSON object")
	}
	if len(in.Rows) == 0 || len(in.Rows[0]) == 0 {
		return nil, errors.New(`"rows" must hold at least one row of numbers`)
	}
	m := mat.NewDense(len(in.Rows), len(in.Rows[0]), nil)
	for i, row := range in.Rows {
		if len(row) != len(in.Rows[0]) {
			return nil, fmt.Errorf("row %d has %d numbers, but row 0 has %d", i, len(row), len(in.Rows[0]))
		}
		m.SetRow(i, row)
	}
	return m, nil
}

func reply(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // the model answered NaN or infinity, which JSON has none of
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer can't be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(text, '\n'))
}

func tooMany(w http.ResponseWriter, _ *http.Request) {
	refuse(w, &ptsecure.Error{Status: ptsecure.ErrRateLimited, Message: "too many requests from this address"})
}

// refuse answers an error; statuses are those of docs/errors.md, and what isn't the library's is the
// client's.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if e := (*ptsecure.Error)(nil); errors.As(err, &e) {
		switch e.Status {
		case ptsecure.ErrInvalidInput, ptsecure.ErrInvalidArgument:
		case ptsecure.ErrUnauthenticated:
			status = http.StatusUnauthorized
			w.Header().Set("WWW-Authenticate", "Bearer")
		case ptsecure.ErrForbidden:
			status = http.StatusForbidden
		case ptsecure.ErrRateLimited:
			status = http.StatusTooManyRequests
		case ptsecure.ErrUnavailable, ptsecure.ErrClosed:
			status = http.StatusServiceUnavailable
		default:
			status = http.StatusInternalServerError
		}
	} else if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	if status == http.StatusInternalServerError {
		log.Print(err)
		err = errors.New("the model could not answer")
	}
	reply(w, status, map[string]string{"error": err.Error()})
}

func run(ctx context.Context) error {
	listen := flag.String("listen", "127.0.0.1:8080", "address to listen on")
	uri := flag.String("store", "mongodb://127.0.0.1/models", "where the models are")
	keyring := flag.String("keys", "opener.jwks", "keyring that opens models and trusts their signers")
	reference := flag.String("model", "digits@production", "the model to serve")
	perMinute := flag.Int("per-minute", 600, "requests per minute and address")
	flag.Parse()

	keys, err := ptsecure.LoadKeyring(*keyring)
	if err != nil {
		return err
	}
	defer keys.Close()
	store, err := ptsecure.OpenStore(ctx, *uri)
	if err != nil {
		return err
	}
	defer store.Close()
	s := &service{}
	if s.model, err = store.Load(ctx, *reference, keys, ptsecure.WithWarmUp(1)); err != nil {
		return err
	}
	defer s.model.Close()
	if inputs := s.model.Metadata().Inputs; len(inputs) != 1 || len(inputs[0].Shape) == 0 {
		return errors.New("this service serves models of one tensor, whose first dimension is the rows")
	}
	if s.keys, err = store.CheckAPIKeys(ctx, keys, ptsecure.APIKeyCheckerOptions{}); err != nil {
		return err
	}
	defer s.keys.Close()

	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	log.Printf("serving %s/%d on http://%v", s.model.Name(), s.model.Version(), listener.Addr())
	server := &http.Server{Handler: s.routes(*perMinute), ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: time.Minute}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		stopped <- server.Shutdown(drain)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}
