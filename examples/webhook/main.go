// Command webhook is a receiver for nudged forward: it verifies each request,
// takes each command once, and prints it. Put the call of your push, e-mail or SMS
// service where it prints.
//
//	WEBHOOK_SECRET=whsec_... go run ./examples/webhook
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	r := &receiver{secret: os.Getenv("WEBHOOK_SECRET"), now: time.Now, out: os.Stdout, taken: map[string]bool{}}
	addr := "127.0.0.1:8088"
	s := &http.Server{Addr: addr, Handler: r, ReadHeaderTimeout: 5 * time.Second}
	log.Printf("listening on http://%s", addr)
	log.Fatal(s.ListenAndServe())
}

type receiver struct {
	secret string
	now    func() time.Time
	out    io.Writer

	mu    sync.Mutex
	taken map[string]bool // a real one keeps it where it outlives the process
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, 1<<20))
	if err != nil {
		http.Error(w, "the body cannot be read", http.StatusBadRequest)
		return
	}
	if err := verify(r.secret, req.Header, body, r.now()); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// The same command may come again: an answer may be lost on its way.
	if id := req.Header.Get("Idempotency-Key"); !r.taken[id] {
		fmt.Fprintf(r.out, "%s\n", body)
		r.taken[id] = true
	}
	w.WriteHeader(http.StatusNoContent)
}

// verify checks that the body was signed with the secret, not long ago.
func verify(secret string, h http.Header, body []byte, now time.Time) error {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return err
	}
	id, timestamp := h.Get("webhook-id"), h.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if age := now.Sub(time.Unix(seconds, 0)); err != nil || age.Abs() > 5*time.Minute {
		return errors.New("the request is too old, or from the future")
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
	want := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	for _, got := range strings.Fields(h.Get("webhook-signature")) {
		if hmac.Equal([]byte(got), want) {
			return nil
		}
	}
	return errors.New("the signature does not fit the body")
}
