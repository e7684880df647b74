package memory_test

import (
	"testing"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/memory"
	"github.com/nudged/nudged/processor/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) processor.Store { return rewinder{&memory.Store{}} })
}

type rewinder struct{ *memory.Store }

func (r rewinder) Mark(storetest.TB) func() {
	at := r.Snapshot()
	return func() { r.Restore(at) }
}

// What is written after a snapshot was restored is not seen by another one.
func TestSnapshotsAreApart(t *testing.T) {
	ctx, tp := t.Context(), processor.TopicPartition{Topic: "clicks"}
	s := &memory.Store{}
	if _, err := s.Claim(ctx, tp, processor.Claim{Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.Wipe(ctx, tp, 1); err != nil {
		t.Fatal(err)
	}
	version := int64(1) // the emptying was the first change
	write := func(user string) {
		t.Helper()
		b := &processor.Batch{
			Epoch: 1, Version: version,
			Timers: []processor.TimerWrite{{Bucket: processor.Bucket{Width: processor.FarBucket}, Entries: []processor.TimerEntry{{User: user}}}},
			Outbox: &processor.OutboxEntry{Seq: version, Records: []byte(user)},
		}
		if err := s.Write(ctx, tp, b); err != nil {
			t.Fatal(err)
		}
		version++
	}
	check := func(users ...string) {
		t.Helper()
		c, err := s.Claim(ctx, tp, processor.Claim{Epoch: 1})
		if err != nil {
			t.Fatal(err)
		}
		timers, err := s.Timers(ctx, tp, processor.Fence{}, processor.Bucket{Width: processor.FarBucket}, 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Outbox) != len(users) || len(timers) != len(users) {
			t.Fatalf("outbox %v, timers %v, want %v", c.Outbox, timers, users)
		}
		for i, u := range users {
			if string(c.Outbox[i].Records) != u || timers[i].User != u {
				t.Fatalf("outbox %v, timers %v, want %v", c.Outbox, timers, users)
			}
		}
	}
	for _, u := range []string{"a", "b", "c"} { // more than one, so that slices have spare room
		write(u)
	}
	three := s.Snapshot()
	write("d")
	four := s.Snapshot()
	for range 2 {
		s.Restore(three)
		version = 4
		check("a", "b", "c")
		write("x")
		check("a", "b", "c", "x")
		s.Restore(four)
		check("a", "b", "c", "d")
	}
	s.Clear()
	if h, err := s.Peek(ctx, tp); h != nil || err != nil {
		t.Errorf("Peek = %v, %v after Clear", h, err)
	}
	s.Restore(four)
	check("a", "b", "c", "d")
}
