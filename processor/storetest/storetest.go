// Package storetest is the one suite of tests that every processor.Store passes.
package storetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nudged/nudged/processor"
)

// Rewinder is a Store that can be made to lose its last writes, as a Redis does
// that fails over or is restored from a backup.
type Rewinder interface {
	processor.Store
	// Mark remembers what the store holds; rewind sets it back to that. It may
	// be called more than once.
	Mark(t TB) (rewind func())
}

// TB is what the suite needs of a test, be it of package testing or of rapid.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Run runs the suite. open is called for each test and returns an empty store;
// it sees to it that the store is cleaned up when the test ends. A store that is
// no Rewinder fails.
func Run(t *testing.T, open func(t *testing.T) processor.Store) {
	for _, suite := range []map[string]func(*testing.T, processor.Store){
		claimTests, writeTests, stateTests, timerTests, wipeTests,
	} {
		for _, name := range slices.Sorted(maps.Keys(suite)) {
			t.Run(name, func(t *testing.T) { suite[name](t, open(t)) })
		}
	}
	for _, name := range slices.Sorted(maps.Keys(lossTests)) {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			r, ok := s.(Rewinder)
			if !ok {
				t.Fatalf("%T has no Mark: the suite cannot make it lose writes", s)
			}
			lossTests[name](t, r)
		})
	}
	t.Run("Model", func(t *testing.T) { testModel(t, open(t)) })
}

const (
	id      = "cluster group topic 12"
	mine    = "aaaaaaaa"
	another = "bbbbbbbb"
	// The suite's epochs are as large as real ones: milliseconds of the clock.
	epoch = 1_795_000_000_000
)

var input = processor.TopicPartition{Topic: "clicks", Partition: 3}

// owner is one claim of a partition, and what it knows of it.
type owner struct {
	t       TB
	store   processor.Store
	tp      processor.TopicPartition
	claimer string
	head    processor.Header
}

func (o *owner) ctx() context.Context { return context.Background() }

// claim takes the suite's partition and empties it if the claim says so.
func claim(t TB, s processor.Store, epoch int64, claimer string) (*owner, *processor.Claimed) {
	t.Helper()
	o := &owner{t: t, store: s, tp: input, claimer: claimer}
	c, err := s.Claim(o.ctx(), o.tp, processor.Claim{ID: id, Epoch: epoch, Claimer: claimer, Base: 100})
	if err != nil {
		t.Fatalf("Claim under epoch %d: %v", epoch, err)
	}
	o.head = c.Header
	if c.Header.Wiping {
		o.wipe()
	}
	return o, c
}

func (o *owner) wipe() {
	o.t.Helper()
	if err := o.store.Wipe(o.ctx(), o.tp, o.head.Epoch); err != nil {
		o.t.Fatalf("Wipe: %v", err)
	}
	o.head = *o.peek()
}

func (o *owner) peek() *processor.Header {
	o.t.Helper()
	h, err := o.store.Peek(o.ctx(), o.tp)
	if err != nil {
		o.t.Fatalf("Peek: %v", err)
	}
	if h != nil {
		h.Oldest = 0 // of the outbox, which look compares
	}
	return h
}

// batch is the next batch of this owner; change adds to it.
func (o *owner) batch(change func(*processor.Batch)) *processor.Batch {
	b := &processor.Batch{Epoch: o.head.Epoch, Version: o.head.Version, Next: o.head}
	b.Next.Version++
	b.Next.Seq++
	b.Next.Offset += 10
	b.Next.Clock += 1000
	b.Next.History = b.Next.History.With(o.head.Epoch, b.Next.Seq)
	if change != nil {
		change(b)
	}
	return b
}

// write applies a batch that must be accepted.
func (o *owner) write(change func(*processor.Batch)) *processor.Batch {
	o.t.Helper()
	b := o.batch(change)
	if err := o.store.Write(o.ctx(), o.tp, b); err != nil {
		o.t.Fatalf("Write of batch %d: %v", b.Next.Seq, err)
	}
	o.head = b.Next
	return b
}

// refused expects a batch to be refused with want and to change nothing.
func (o *owner) refused(b *processor.Batch, want error) {
	o.t.Helper()
	unchanged(o.t, o.store, func() {
		o.t.Helper()
		if err := o.store.Write(o.ctx(), o.tp, b); !errors.Is(err, want) {
			o.t.Fatalf("Write = %v, want %v", err, want)
		}
	})
}

// blind expects that nothing is read under the owner's fence.
func (o *owner) blind(want error) {
	o.t.Helper()
	_, err1 := o.store.States(o.ctx(), o.tp, o.head.Fence(), []string{"ann"})
	_, _, err2 := o.store.Users(o.ctx(), o.tp, o.head.Fence(), 0)
	_, err3 := o.store.Timers(o.ctx(), o.tp, o.head.Fence(), processor.Bucket{Width: processor.FarBucket}, 0, 10)
	for call, err := range map[string]error{"States": err1, "Users": err2, "Timers": err3} {
		if !errors.Is(err, want) {
			o.t.Fatalf("%s = %v, want %v", call, err, want)
		}
	}
}

func (o *owner) states(users ...string) [][]byte {
	o.t.Helper()
	got, err := o.store.States(o.ctx(), o.tp, o.head.Fence(), users)
	if err != nil {
		o.t.Fatalf("States: %v", err)
	}
	if len(got) != len(users) {
		o.t.Fatalf("States of %d users returned %d", len(users), len(got))
	}
	return got
}

func (o *owner) timers(b processor.Bucket) []processor.TimerEntry {
	o.t.Helper()
	got, err := o.store.Timers(o.ctx(), o.tp, o.head.Fence(), b, 0, 1<<20)
	if err != nil {
		o.t.Fatalf("Timers: %v", err)
	}
	return got
}

// again repeats the claim, which changes nothing and tells what is stored.
func (o *owner) again() *processor.Claimed {
	o.t.Helper()
	c, err := o.store.Claim(o.ctx(), o.tp, processor.Claim{ID: id, Epoch: o.head.Epoch, Claimer: o.claimer, Base: 100})
	if err != nil {
		o.t.Fatalf("Claim repeated: %v", err)
	}
	return c
}

// view is all that a store tells of a partition.
type view struct {
	Claimed *processor.Claimed
	States  map[string]string
	Timers  map[processor.Bucket][]processor.TimerEntry
}

// seen are the users that a view looks at.
var seen = []string{"ann", "bob", "cid", "", "a:b", "{x}", "\x00\xff\r\n", "ann "}

// look returns what is stored of the partition under the owner's claim.
func (o *owner) look() view {
	o.t.Helper()
	v := view{Claimed: o.again(), States: map[string]string{}, Timers: map[processor.Bucket][]processor.TimerEntry{}}
	there := *o // whatever this owner knows of it
	there.head = v.Claimed.Header
	for i, s := range there.states(seen...) {
		if s != nil {
			v.States[seen[i]] = string(s)
		}
	}
	for _, b := range v.Claimed.Buckets {
		v.Timers[b] = there.timers(b)
	}
	return v
}

// unchanged expects that f changes nothing of the suite's partition, whoever has
// claimed it.
func unchanged(t TB, s processor.Store, f func()) {
	t.Helper()
	o := &owner{t: t, store: s, tp: input}
	h := o.peek()
	if h == nil {
		f()
		if after := o.peek(); after != nil {
			t.Fatalf("a header was made: %+v", after)
		}
		return
	}
	o.head = *h
	o.claimer = claimerOf(t, s)
	before := o.look()
	f()
	equal(t, "after what should have changed nothing", o.look(), before)
}

// claimerOf finds out which of the suite's processes has claimed the partition.
func claimerOf(t TB, s processor.Store) string {
	t.Helper()
	o := &owner{t: t, store: s, tp: input}
	for _, c := range []string{mine, another} {
		_, err := s.Claim(o.ctx(), o.tp, processor.Claim{ID: id, Epoch: o.peek().Epoch, Claimer: c})
		switch {
		case err == nil:
			return c
		case !errors.Is(err, processor.ErrFenced):
			t.Fatalf("Claim: %v", err)
		}
	}
	t.Fatalf("the partition is held by a process unknown to the suite")
	return ""
}

func equal(t TB, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Fatalf("%s: - want, + got\n%s", what, d)
	}
}
