package storetest

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/nudged/nudged/processor"
)

var writeTests = map[string]func(*testing.T, processor.Store){
	"WriteSetsTheHeader":           testWriteHeader,
	"WriteRepeated":                testWriteRepeated,
	"WriteLate":                    testWriteLate,
	"WriteFenced":                  testWriteFenced,
	"WriteLost":                    testWriteLost,
	"WriteIntoAnEmptyingPartition": testWriteWiping,
	"WriteOfABadTimer":             testWriteBadTimer,
	"OutboxOrderAndTrimming":       testOutbox,
	"OutboxOfLargeRecords":         testOutboxLarge,
	"BytesAreTheCallers":           testBytesCopied,
}

func testWriteHeader(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	for _, h := range []processor.Header{
		{Seq: 1, Last: 0, Offset: 101, Clock: -1, Base: 100, History: processor.History{{Epoch: epoch, First: 1}}},
		{Seq: 1, Offset: 150, Base: 100},        // a replay that has reached no batch yet
		{Seq: 70, Last: 69, Offset: 5, Base: 3}, // a replay that has passed many
		{
			Seq: 1 << 40, Last: 1 << 39, Offset: 1 << 50, // as large as can be
			Clock: math.MaxInt64, Base: 1 << 49,
			Evidence: processor.Evidence{SendPartition: math.MaxInt32, SendOffset: math.MaxInt64, DecisionPartition: 5, DecisionOffset: 1 << 45},
			Sweep:    processor.Sweep{Done: math.MaxInt64, At: -1, Next: 7, Of: 1 << 20, Rules: "0123456789ab"},
			History:  longHistory(),
		},
	} {
		b := &processor.Batch{Epoch: o.head.Epoch, Version: o.head.Version, Next: h}
		// These stand, whatever the batch says.
		b.Next.ID, b.Next.Epoch, b.Next.Wiping = "another", 1, true
		if err := s.Write(t.Context(), input, b); err != nil {
			t.Fatal(err)
		}
		h.ID, h.Epoch, h.Version = id, epoch, b.Version+1
		equal(t, "header", *o.peek(), h)
		if e, v, err := s.Fence(t.Context(), input); e != epoch || v != h.Version || err != nil {
			t.Errorf("Fence = %d, %d, %v, want %d, %d", e, v, err, int64(epoch), h.Version)
		}
		o.head = h
	}
	// What the caller does to its history afterwards is not seen.
	o.head.History[0].First = 77
	if h := o.peek(); h.History[0].First == 77 {
		t.Error("the stored history is the caller's")
	}
}

func longHistory() processor.History {
	var h processor.History
	for i := range int64(64) {
		h = append(h, processor.EpochStart{Epoch: epoch + i*1000, First: 1 + i*i})
	}
	return h
}

func testWriteRepeated(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	full(o)
	b := full(o)
	unchanged(t, s, func() {
		for range 3 {
			if err := s.Write(t.Context(), input, b); err != nil {
				t.Fatalf("Write repeated = %v", err)
			}
		}
	})
	full(o)
	if n := len(o.look().Claimed.Outbox); n != 3 {
		t.Errorf("the outbox has %d entries after 3 batches", n)
	}
}

func testWriteLate(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	b := full(o)
	full(o)
	o.refused(b, processor.ErrLost)
	full(o)
	o.refused(b, processor.ErrLost)
}

func testWriteFenced(t *testing.T, s processor.Store) {
	old, _ := claim(t, s, epoch, mine)
	b := full(old)
	next := old.batch(everything)
	owner, _ := claim(t, s, epoch+1, another)
	old.refused(next, processor.ErrFenced) // the batch it was about to write
	old.blind(processor.ErrFenced)
	old.refused(b, processor.ErrFenced) // the last one again
	full(owner)
	old.refused(next, processor.ErrFenced)
	full(owner)
	// An epoch that was never claimed.
	next.Epoch, next.Version = epoch+2, owner.head.Version
	old.refused(next, processor.ErrFenced)
}

// everything makes a batch touch all that is stored of a partition.
func everything(b *processor.Batch) {
	minute := processor.Bucket{Start: 7 * processor.MinuteBucket, Width: processor.MinuteBucket}
	b.Published = b.Next.Seq - 1
	b.States = []processor.StateWrite{{User: "ann", State: []byte("other")}, {User: "bob", State: []byte("new")}}
	b.Timers = []processor.TimerWrite{{Bucket: minute, New: true, Entries: []processor.TimerEntry{{At: minute.Start, User: "bob"}}}}
	b.Done = []processor.Bucket{{Start: 3 * processor.FarBucket, Width: processor.FarBucket}}
	b.Outbox = &processor.OutboxEntry{Seq: b.Next.Seq, Records: []byte("others")}
}

func testWriteLost(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	for range 3 {
		full(o)
	}
	b := o.batch(everything)
	for _, version := range []int64{0, o.head.Version - 2, o.head.Version + 1, o.head.Version + 7} {
		b.Version = version
		o.refused(b, processor.ErrLost)
	}
	// One version behind, but not the batch that was applied there: to take it
	// for applied would lose it.
	b.Version = o.head.Version - 1
	b.Next.Seq, b.Next.Offset = o.head.Seq, o.head.Offset+1
	o.refused(b, processor.ErrLost)

	o.write(everything)
	v := o.look()
	equal(t, "states", v.States, map[string]string{"ann": "other", "bob": "new", "a:b": "\x00\xff"})
	equal(t, "buckets", v.Claimed.Buckets, []processor.Bucket{{Start: 7 * processor.MinuteBucket, Width: processor.MinuteBucket}})
	equal(t, "outbox", v.Claimed.Outbox, []processor.OutboxEntry{{Seq: 4, Records: []byte("others")}})
}

func testWriteWiping(t *testing.T, s processor.Store) {
	c, err := s.Claim(t.Context(), input, processor.Claim{ID: id, Epoch: epoch, Claimer: mine})
	if err != nil {
		t.Fatal(err)
	}
	o := &owner{t: t, store: s, tp: input, claimer: mine, head: c.Header}
	o.refused(o.batch(everything), processor.ErrLost)
	o.wipe()
	full(o)
}

func testWriteBadTimer(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	full(o)
	minute := processor.Bucket{Start: 7 * processor.MinuteBucket, Width: processor.MinuteBucket}
	for _, at := range []int64{minute.Start - 1000, minute.End(), minute.Start + 1} {
		unchanged(t, s, func() {
			b := o.batch(everything)
			b.Timers[0].Entries[0].At = at
			err := s.Write(t.Context(), input, b)
			if err == nil || errors.Is(err, processor.ErrFenced) || errors.Is(err, processor.ErrLost) {
				t.Errorf("Write of a timer at %d in bucket %+v = %v, want an error that says so", at, minute, err)
			}
		})
	}
	full(o)
}

func testOutbox(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	var all []processor.OutboxEntry
	for _, step := range []struct {
		published int64
		empty     bool // the batch has no records
		want      []int64
	}{
		{0, false, []int64{1}},
		{0, true, []int64{1}},
		{0, false, []int64{1, 3}},
		{0, false, []int64{1, 3, 4}},
		{1, false, []int64{3, 4, 5}},
		{2, true, []int64{3, 4, 5}}, // batch 2 had none
		{1, false, []int64{3, 4, 5, 7}},
		{4, true, []int64{5, 7}},
		{8, false, []int64{9}},
		{9, true, nil},
		{9, false, []int64{11}},
		{10, false, []int64{11, 12}},
	} {
		b := o.write(func(b *processor.Batch) {
			b.Published = step.published
			if !step.empty {
				b.Outbox = &processor.OutboxEntry{Seq: b.Next.Seq, Records: []byte{byte(b.Next.Seq), 0, ':', '\n'}}
				all = append(all, *b.Outbox)
			}
		})
		var want []processor.OutboxEntry
		for _, e := range all {
			for _, seq := range step.want {
				if e.Seq == seq {
					want = append(want, e)
				}
			}
		}
		if len(want) != len(step.want) {
			t.Fatalf("the test's own table is wrong at batch %d", b.Next.Seq)
		}
		equal(t, "outbox", o.again().Outbox, want)
	}
}

func testOutboxLarge(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	records := func(i int) []byte { return bytes.Repeat([]byte{byte(i), 255, '\r', '\n'}, 1<<18*i) }
	for i := range 4 {
		o.write(func(b *processor.Batch) {
			b.Outbox = &processor.OutboxEntry{Seq: b.Next.Seq, Records: records(i)}
		})
	}
	for first := range 4 {
		o.write(func(b *processor.Batch) { b.Published = int64(first) })
		got := o.again().Outbox
		if len(got) != 4-first {
			t.Fatalf("the outbox has %d entries after batch %d was published, want %d", len(got), first, 4-first)
		}
		for i, e := range got {
			if e.Seq != int64(first+i+1) || !bytes.Equal(e.Records, records(first+i)) {
				t.Errorf("entry %d has seq %d and %d bytes, or other bytes than were written", first+i, e.Seq, len(e.Records))
			}
		}
	}
}

func testBytesCopied(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	state, records := []byte("state"), []byte("records")
	timers := []processor.TimerEntry{{At: 1000, User: "ann"}}
	bucket := processor.Bucket{Width: processor.FarBucket}
	o.write(func(b *processor.Batch) {
		b.States = []processor.StateWrite{{User: "ann", State: state}}
		b.Outbox = &processor.OutboxEntry{Seq: b.Next.Seq, Records: records}
		b.Timers = []processor.TimerWrite{{Bucket: bucket, New: true, Entries: timers}}
	})
	want := o.look()
	clear(state)
	clear(records)
	timers[0].User = "bob"
	equal(t, "after the caller's bytes have changed", o.look(), want)

	clear(o.states("ann")[0])
	clear(o.again().Outbox[0].Records)
	o.timers(bucket)[0].User = "cid"
	equal(t, "after the returned bytes have changed", o.look(), want)
}
