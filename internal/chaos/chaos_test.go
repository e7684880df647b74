//go:build chaos_short

package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/nudged/nudged/internal/chaos/services"
)

// leaveOut skips the test, or fails it where the services are required.
func leaveOut(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("NUDGED_REQUIRE_SERVICES") == "1" {
		t.Fatalf("NUDGED_REQUIRE_SERVICES=1, but %s", why)
	}
	t.Skipf("LEFT OUT: %s", why)
}

// The short version of a run: a fixed seed, then another one each time, on the same
// brokers and the same Redis. Whatever fails, fails with the seed that it failed
// with. There is no bound on how long anything takes but that of the patience.
func TestNothingIsLostOrRepeated(t *testing.T) {
	if os.Getenv("NUDGED_TEST_KAFKA") == "" || os.Getenv("NUDGED_TEST_REDIS") == "" {
		leaveOut(t, "NUDGED_TEST_KAFKA and NUDGED_TEST_REDIS are not set: no services are wanted here; make test, or make chaos")
	}
	logging.Disable()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := services.FindPrograms(t.Context(), root); err != nil {
		leaveOut(t, "the programs of Kafka and Redis cannot be had: "+err.Error())
	}
	o := options{
		duration: 45 * time.Second, clocks: []string{"wall", "event"}, brokers: 3, processes: 2, root: root,
		program: filepath.Join(t.TempDir(), "nudged"),
	}
	if err := build(t.Context(), root, o.program); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	s, err := open(t.Context(), o, &said)
	defer func() { s.close(t.Failed()) }()
	if err != nil {
		t.Fatal(err)
	}
	for _, seed := range []uint64{7, rand.Uint64N(1_000_000)} {
		said.Reset()
		s.seed = seed
		r, err := s.run(t.Context())
		if err != nil {
			t.Fatalf("seed %d could not be played: %v\n%s", seed, err, &said)
		}
		var text bytes.Buffer
		r.print(&text)
		t.Log(text.String())
		if !r.clean() {
			t.Fatalf("seed %d is not clean. What happened:\n%s", seed, &said)
		}
		for _, w := range r.worlds {
			if w.findings.Owed < 20 || r.faults() < 5 {
				t.Errorf("seed %d: %d commands owed after %d faults: it has tried nothing", seed, w.findings.Owed, r.faults())
			}
		}
	}
}
