package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nudged/nudged/processor"
)

var wipeTests = map[string]func(*testing.T, processor.Store){
	"WipeRemovesAll":    testWipe,
	"WipeRepeated":      testWipeRepeated,
	"WipeRefused":       testWipeRefused,
	"WipeAndTheVersion": testWipeVersion,
}

func testWipe(t *testing.T, s processor.Store) {
	c, err := s.Claim(t.Context(), input, processor.Claim{
		ID: id, Epoch: epoch, Claimer: mine, Base: 100, Names: map[uint32]string{1: "one"},
	})
	if err != nil {
		t.Fatal(err)
	}
	o := &owner{t: t, store: s, tp: input, claimer: mine, head: c.Header}
	o.wipe()
	equal(t, "header of a new partition", o.head, processor.Header{ID: id, Epoch: epoch, Version: o.head.Version, Offset: 100, Base: 100})

	// More than any step of the emptying takes.
	users := append([]string(nil), oddUsers...)
	for i := range 3_000 {
		users = append(users, fmt.Sprint("user-", i))
	}
	full(o)
	o.write(func(b *processor.Batch) {
		for _, u := range users {
			b.States = append(b.States, processor.StateWrite{User: u, State: []byte("x")})
		}
		for i := range int64(600) {
			m := minute(1000 + i)
			b.Timers = append(b.Timers, processor.TimerWrite{Bucket: m, New: true, Entries: []processor.TimerEntry{{At: m.Start, User: "ann"}}})
		}
		b.Outbox = &processor.OutboxEntry{Seq: b.Next.Seq, Records: []byte("records")}
	})
	o, claimed := claim(t, s, epoch+1, another)
	if n := len(claimed.Buckets); n != 601 {
		t.Fatalf("%d timer buckets before the emptying, want 601", n)
	}
	o.wipe()

	got := o.again()
	h := got.Header
	if h.Version == 0 {
		t.Error("the version is that of before the emptying: falling back to there would not be noticed")
	}
	h.Version = 0
	equal(t, "header", h, processor.Header{ID: id, Epoch: epoch + 1, Offset: 100, Base: 100})
	equal(t, "outbox", got.Outbox, []processor.OutboxEntry(nil))
	equal(t, "buckets", got.Buckets, []processor.Bucket(nil))
	equal(t, "names, which stay", got.Names, map[uint32]string{1: "one"})
	for i, state := range o.states(users...) {
		if state != nil {
			t.Fatalf("user %q still has the state %q", users[i], state)
		}
	}
	for _, b := range claimed.Buckets {
		if got := o.timers(b); len(got) != 0 {
			t.Fatalf("bucket %+v still holds %v", b, got)
		}
	}
	full(o)
	equal(t, "states after a new beginning", o.look().States, map[string]string{"ann": "1", "a:b": "\x00\xff"})
}

func testWipeRepeated(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	full(o)
	o.wipe()
	o.wipe()
	full(o)
	// A batch of before the last emptying is not taken for one of after it.
	b := o.batch(everything)
	o.wipe()
	o.refused(b, processor.ErrLost)
	full(o)
}

func testWipeRefused(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	full(o)
	for _, e := range []int64{epoch - 1, epoch + 1} {
		unchanged(t, s, func() {
			if err := s.Wipe(t.Context(), input, e); !errors.Is(err, processor.ErrFenced) {
				t.Errorf("Wipe under epoch %d of one held under %d = %v, want ErrFenced", e, int64(epoch), err)
			}
		})
	}
	full(o)
}

// Before an emptying and after it the fence is not the same.
func testWipeVersion(t *testing.T, s processor.Store) {
	c, err := s.Claim(t.Context(), input, processor.Claim{ID: id, Epoch: epoch, Claimer: mine})
	if err != nil {
		t.Fatal(err)
	}
	o := &owner{t: t, store: s, tp: input, claimer: mine, head: c.Header}
	for range 3 {
		before := o.batch(everything)
		o.wipe()
		if o.head.Version <= before.Version {
			t.Errorf("the version is %d after the emptying, and was %d before", o.head.Version, before.Version)
		}
		o.refused(before, processor.ErrLost)
	}
	full(o)
}
