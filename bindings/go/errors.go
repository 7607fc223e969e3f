package ptsecure

import (
	"context"
	"errors"

	"github.com/ptsecure/ptsecure/bindings/go/internal/raw"
)

// Status says what kind of failure an [Error] is; the numbers are those of the C ABI. It is an error
// itself so that errors.Is(err, ptsecure.ErrNotFound) asks for one.
type Status int32

const (
	ErrInvalidArgument  Status = 1  // the call itself is wrong: a bad name or option
	ErrNotFound         Status = 2  // no such store, model, version, alias, method or file
	ErrAlreadyExists    Status = 3  // the name or number is taken
	ErrConflict         Status = 4  // another writer was faster; read again, then decide
	ErrUntrusted        Status = 5  // a signature is missing, wrong, or by a key not trusted for this
	ErrCorrupt          Status = 6  // stored bytes are damaged, incomplete, mixed up or malformed
	ErrNoKey            Status = 7  // the keyring holds no key that opens, signs or wraps this
	ErrRevoked          Status = 8  // the key record says disabled or destroyed
	ErrRollback         Status = 9  // older than what is known to have existed
	ErrPermissionDenied Status = 10 // the system or the store refused access; a key file is too open
	ErrUnavailable      Status = 11 // the store cannot be reached
	ErrTimeout          Status = 12 // the time limit passed
	ErrCancelled        Status = 13 // the context ended, or a callback stopped the call
	ErrIO               Status = 14 // reading or writing failed
	ErrOutOfMemory      Status = 15 // an allocation failed
	ErrUnsupported      Status = 16 // this build, device, format or algorithm is not supported
	ErrInvalidModel     Status = 17 // the file is not a model that the engine can load
	ErrInvalidInput     Status = 18 // inputs do not match what the model expects
	ErrEngine           Status = 19 // the engine can't be loaded, or the model failed while running
	ErrLimitExceeded    Status = 20 // a size, depth or count is over a limit
	ErrClosed           Status = 21 // the handle is closed, or belongs to the process before a fork
	ErrInternal         Status = 22 // a defect in the library; please report it
	ErrUnauthenticated  Status = 23 // no API key, or none that is valid
	ErrForbidden        Status = 24 // the API key is valid, but not for this
	ErrRateLimited      Status = 25 // the API key is over its rate; try again later
)

// String is the name of the status: "not_found".
func (s Status) String() string { return raw.StatusName(int32(s)) }

func (s Status) Error() string { return "ptsecure: " + s.String() }

// Error is what every failing call returns: a status, and one sentence that says what was expected,
// what was found and what to do. It never holds a secret.
type Error struct {
	Status  Status
	Message string

	causes []error
}

func (e *Error) Error() string { return "ptsecure: " + e.Message }

// Is reports whether target is the error's Status.
func (e *Error) Is(target error) bool {
	status, ok := target.(Status)
	return ok && status == e.Status
}

// Unwrap returns the context's error of a call that its context stopped, or that of the reader or
// writer which stopped it.
func (e *Error) Unwrap() []error { return e.causes }

func newError(status Status, message string) *Error {
	return &Error{Status: status, Message: message}
}

// wrap makes an *Error of what the raw layer returned. A callback's panic goes on from here.
func wrap(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	switch err := err.(type) {
	case *Error:
		return err
	case *raw.Panicked:
		panic(err.Value)
	}
	wrapped := newError(ErrInternal, err.Error())
	if e := (*raw.Error)(nil); errors.As(err, &e) {
		wrapped.Status = Status(e.Status)
	}
	if c, ok := err.(*raw.CallbackError); ok {
		wrapped.causes = append(wrapped.causes, c.Callback)
	}
	if wrapped.Status == ErrCancelled && ctx.Err() != nil {
		wrapped.causes = append(wrapped.causes, contextErrors(ctx)...)
	}
	return wrapped
}

func contextErrors(ctx context.Context) []error {
	causes := []error{ctx.Err()}
	if cause := context.Cause(ctx); !errors.Is(ctx.Err(), cause) {
		causes = append(causes, cause)
	}
	return causes
}

// alive is the error of a context that has ended.
func alive(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return &Error{ErrCancelled, "the call was not made: " + context.Cause(ctx).Error(), contextErrors(ctx)}
}
