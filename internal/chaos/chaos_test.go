package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	o := options{duration: 45 * time.Second, clocks: []string{"wall", "event"}, brokers: 3, processes: 2, root: root,
		program: filepath.Join(t.TempDir(), "nudged")}
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

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		args string
		says string // "": they are fine
	}{
		{"-seed 3 -duration 20m -only kill,redis -clocks event -brokers 1", ""},
		{"-clocks moon", "neither wall nor event"},
		{"-brokers 2", "-brokers (1 or 3)"},
		{"-duration 0s", "-duration"},
		{"-only everything", `no fault is called "everything"`},
		{"-nonsense", "flag provided but not defined"},
	} {
		var said bytes.Buffer
		_, err := parse(strings.Fields(c.args), &said)
		if (err == nil) != (c.says == "") || !strings.Contains(said.String(), c.says) {
			t.Errorf("%s: %v, %s", c.args, err, &said)
		}
	}
}

// A choice of faults takes single ones and whole groups.
func TestWantedFaults(t *testing.T) {
	s := &stage{options: options{only: []string{"die", "redis-kill", "kill"}, without: []string{"die:after-end"}}}
	for name, want := range map[string]bool{
		"die:after-produce": true, "die:after-end": false, "redis-kill": true, "redis-cut": false, "kill": true, "kill-all": false, "kafka-kill": false,
	} {
		if got := s.wanted(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Every fault that there is can be named, and every name is one.
func TestFaultNames(t *testing.T) {
	s := &stage{options: options{duration: longRun, quiet: true}, redis: &services.Redis{},
		kafka: &services.Kafka{Brokers: []*services.Broker{{ID: 1}, {ID: 2}, {ID: 3}}}}
	var names []string
	for _, f := range slices.Concat(s.processFaults(&world{}), s.kafkaFaults(), s.redisFaults()) {
		names = append(names, f.name)
		if unknown, ok := unknownFault([]string{f.name}); ok {
			t.Errorf("%q cannot be named", unknown)
		}
	}
	for _, name := range faultNames {
		if !slices.Contains(names, name) && name != "redis-full-disk" { // where small disks can be mounted
			t.Errorf("%q is no fault", name)
		}
	}
}

// The same seed lets the same things go wrong in the same order.
func TestSeedDecidesTheOrder(t *testing.T) {
	order := func(seed uint64) (names []string) {
		s := &stage{options: options{seed: seed, quiet: true}, faults: map[string]int{}}
		ctx, stop := context.WithCancel(t.Context())
		var faults []fault
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			faults = append(faults, fault{name, func(context.Context, *rand.Rand) error {
				if names = append(names, name); len(names) == 12 {
					stop()
				}
				return nil
			}})
		}
		s.rest = func(context.Context, time.Duration) {}
		defer stop()
		s.repeat(ctx, "loop", faults)
		return names
	}
	one, same, other := order(1), order(1), order(2)
	if !slices.Equal(one, same) || slices.Equal(one, other) {
		t.Errorf("seed 1: %v and %v, seed 2: %v", one, same, other)
	}
	for from := 0; from+5 <= len(one); from += 5 {
		if bag := slices.Sorted(slices.Values(one[from : from+5])); !slices.Equal(bag, []string{"a", "b", "c", "d", "e"}) {
			t.Errorf("faults %d to %d are %v: each ought to come once", from, from+4, bag)
		}
	}
}
