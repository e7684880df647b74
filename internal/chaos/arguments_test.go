package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nudged/nudged/internal/chaos/services"
)

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
	s := &stage{
		options: options{duration: longRun, quiet: true}, redis: &services.Redis{},
		kafka: &services.Kafka{Brokers: []*services.Broker{{ID: 1}, {ID: 2}, {ID: 3}}},
	}
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
