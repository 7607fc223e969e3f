// Package ptsecure opens signed and encrypted PyTorch models inside the process that runs them.
//
//	keys, err := ptsecure.LoadKeyring("keys.jwks")
//	store, err := ptsecure.OpenStore(ctx, "mongodb://127.0.0.1/models")
//	model, err := store.Load(ctx, "digits@production", keys)
//	answer, err := model.Infer(ctx, ptsecure.NewTensor(pixels, 1, 1, 8, 8))
//	rows, err := ptsecure.Data[float32](answer)
//
// # Lifetimes
//
// Keyring, Store, Package, Model, Result and Secret hold memory of the library until Close. They may
// be closed in any order, twice, and while other goroutines use them: a call that is under way
// finishes, later ones return [ErrClosed]. There are no finalizers; [OpenHandles] counts what is open,
// for a test to see that nothing is left.
//
// # Goroutines
//
// Everything may be used by several goroutines at once. Calls on a stateless model run side by side;
// calls on a stateful one run one after the other, so give each stream of inputs its own
// [Model.Fork].
//
// # Contexts
//
// The end of a context stops a call that moves a model (Publish, Fetch, Load, Verify, Copy, Export,
// Decrypt, Stream) within about a second, and the error is then both [ErrCancelled] and the context's.
// Short calls, and Infer, look at the context before they start; WithOperationTimeout bounds how long
// a store may take to answer.
//
// # Callbacks
//
// A panic in a progress function, reader, writer or log function doesn't unwind through C: the call
// is stopped first, then panics with the same value; a log function's panic goes on from the next
// call on its store. Callbacks don't run on the goroutine that made the call, which waits for them.
package ptsecure
