package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"kind-local-registry/internal/inventory"
	"kind-local-registry/internal/registry/store"
)

// progressInterval is the time between two lines of progress in the response to a check.
const progressInterval = 500 * time.Millisecond

// inventoryAPI serves the API of package inventory.
type inventoryAPI struct {
	store    *store.Store
	verifier *verifier
	promises *promises
}

// register adds the API to the mux.
func (a inventoryAPI) register(mux *http.ServeMux) {
	mux.Handle("GET "+inventory.Path, socketOnly(a.list))
	mux.Handle("POST "+inventory.RemovePath, socketOnly(a.remove))
	mux.Handle("POST "+inventory.VerifyPath, socketOnly(a.verify))
}

// socketOnly responds with status 404 to requests that do not come through the Unix socket.
func socketOnly(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !fromSocket(r) {
			http.NotFound(w, r)
			return
		}
		next(w, r)
	})
}

// list handles GET /inventory.
func (a inventoryAPI) list(w http.ResponseWriter, _ *http.Request) {
	listed, err := a.store.Inventory()
	if err != nil {
		http.Error(w, "listing the images: "+err.Error(), http.StatusInternalServerError)
		return
	}
	respond(w, listed)
}

// remove handles POST /inventory/remove.
func (a inventoryAPI) remove(w http.ResponseWriter, r *http.Request) {
	var removal inventory.Removal
	if !read(w, r, &removal) {
		return
	}
	if now := time.Now(); removal.UnusedSince.After(now) {
		removal.UnusedSince = now // otherwise what a request has just found could be removed
	}
	removed, err := a.store.Remove(removal)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if len(removed.Images) > 0 || removed.Blobs > 0 {
		logrus.WithFields(logrus.Fields{"images": len(removed.Images), "blobs": removed.Blobs, "bytes": removed.Bytes}).
			Warn("removed unused images")
	}
	respond(w, removed)
}

// verify handles POST /inventory/verify.
func (a inventoryAPI) verify(w http.ResponseWriter, r *http.Request) {
	var check inventory.Check
	if !read(w, r, &check) {
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	var last time.Time
	result, err := a.check(r.Context(), check, func(p inventory.Progress) {
		if time.Since(last) < progressInterval {
			return
		}
		last = time.Now()
		_ = lines.Encode(inventory.CheckLine{Progress: &p}) // the context ends if the client is gone
		_ = flush.Flush()
	})
	line := inventory.CheckLine{Result: &result}
	if err != nil {
		line = inventory.CheckLine{Error: err.Error()}
	}
	_ = lines.Encode(line) // the client may be gone
}

// check compares the blobs with their digests if the check asks for it, and then checks whether every image is complete.
func (a inventoryAPI) check(ctx context.Context, check inventory.Check, progress func(inventory.Progress)) (inventory.Checked, error) {
	var result inventory.Checked
	if check.Blobs {
		blobs, err := a.store.Blobs()
		if err != nil {
			return result, fmt.Errorf("listing the blobs: %w", err)
		}
		if result, err = a.verifier.verifyAll(ctx, blobs, progress); err != nil {
			return result, err
		}
	}
	faults, err := a.store.Check(check.Repair)
	if err != nil {
		return result, fmt.Errorf("checking the images: %w", err)
	}
	result.Faults = slices.Concat(faults, a.promises.check(check.Repair))
	return result, nil
}

// read decodes the body of a request. If the body is invalid, it sends an error response and returns false.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, inventory.MaxRequest)).Decode(into); err != nil {
		http.Error(w, "reading the request: "+err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

// respond sends a JSON document.
func respond(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(document) // the client may be gone
}
