package storetest

import (
	"fmt"
	"testing"

	"github.com/nudged/nudged/processor"
)

var timerTests = map[string]func(*testing.T, processor.Store){
	"TimersOfBothWidths":        testTimersWidths,
	"TimersAppended":            testTimersAppended,
	"TimersOfOddUsers":          testTimersUsers,
	"TimersManyInABucket":       testTimersMany,
	"TimersInPages":             testTimersPages,
	"TimersBucketsOver":         testTimersDone,
	"TimersInABucketJustOver":   testTimersDoneAndWritten,
	"TimersBucketWithoutEntry":  testTimersEmpty,
	"TimersOfTheDistantPast":    testTimersNegative,
	"TimersSeenByTheNextClaims": testTimersClaimed,
	"TimersErased":              testTimersErased,
}

func minute(n int64) processor.Bucket {
	return processor.Bucket{Start: n * processor.MinuteBucket, Width: processor.MinuteBucket}
}

func far(n int64) processor.Bucket {
	return processor.Bucket{Start: n * processor.FarBucket, Width: processor.FarBucket}
}

// arm writes a batch with entries for one bucket.
func (o *owner) arm(b processor.Bucket, isNew bool, entries ...processor.TimerEntry) {
	o.t.Helper()
	o.write(func(w *processor.Batch) {
		w.Timers = []processor.TimerWrite{{Bucket: b, New: isNew, Entries: entries}}
	})
}

// A bucket is read page by page, while it grows at its end.
func testTimersPages(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	b := far(7)
	var want []processor.TimerEntry
	for i := range int64(10) {
		want = append(want, processor.TimerEntry{At: b.Start + i%3*1000, User: fmt.Sprint("user", i)})
	}
	o.arm(b, true, want[:7]...)
	page := func(from, n int) []processor.TimerEntry {
		t.Helper()
		got, err := s.Timers(o.ctx(), o.tp, o.head.Fence(), b, from, n)
		if err != nil {
			t.Fatalf("Timers: %v", err)
		}
		return got
	}
	equal(t, "first page", page(0, 4), want[:4])
	o.arm(b, false, want[7:]...)
	equal(t, "second page", page(4, 4), want[4:8])
	equal(t, "last page", page(8, 4), want[8:])
	equal(t, "beyond the end", page(10, 4), []processor.TimerEntry(nil))
	equal(t, "far beyond the end", page(100, 4), []processor.TimerEntry(nil))
}

// A minute and a far bucket that begin at the same time are two.
func testTimersWidths(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	m, f := minute(240*123_000), far(123_000)
	if m.Start != f.Start {
		t.Fatal("the test's buckets do not begin at the same time")
	}
	inMinute := []processor.TimerEntry{{At: m.Start, User: "first"}, {At: m.End() - 1000, User: "last"}}
	inFar := []processor.TimerEntry{{At: f.End() - 1000, User: "last"}, {At: f.Start, User: "first"}}
	o.write(func(b *processor.Batch) {
		b.Timers = []processor.TimerWrite{{Bucket: m, New: true, Entries: inMinute}, {Bucket: f, New: true, Entries: inFar}}
	})
	equal(t, "minute bucket", o.timers(m), inMinute)
	equal(t, "far bucket", o.timers(f), inFar)
	equal(t, "buckets", o.again().Buckets, []processor.Bucket{m, f})
	equal(t, "a bucket that is not there", o.timers(minute(1)), []processor.TimerEntry(nil))
}

func testTimersAppended(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	b := minute(10)
	var want []processor.TimerEntry
	for i := range int64(5) {
		e := []processor.TimerEntry{{At: b.Start + i*1000, User: "ann"}, {At: b.Start + i*1000, User: "bob"}}
		want = append(want, e...)
		// The store does not rely on being told: an owner that has forgotten a
		// bucket, or thinks that it exists, loses no timer.
		o.arm(b, i == 0 || i == 3, e...)
	}
	equal(t, "entries", o.timers(b), want)
	o.arm(far(9), false, processor.TimerEntry{At: far(9).Start, User: "cid"})
	equal(t, "buckets", o.again().Buckets, []processor.Bucket{b, far(9)})
}

func testTimersUsers(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	for _, b := range []processor.Bucket{minute(77), far(77)} {
		var want []processor.TimerEntry
		for i, u := range oddUsers {
			// Users that begin like the rest of a number.
			for _, u := range []string{u, "\x80" + u, "\x01" + u} {
				want = append(want, processor.TimerEntry{At: b.Start + int64(i*i)*1000%b.Width, User: u})
			}
		}
		for i := range want {
			want[i].At -= want[i].At % 1000
		}
		o.arm(b, true, want...)
		equal(t, fmt.Sprintf("bucket %+v", b), o.timers(b), want)
	}
}

func testTimersMany(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	var want []processor.TimerEntry
	for i := range int64(10_000) {
		want = append(want, processor.TimerEntry{At: far(5).Start + i*1000, User: fmt.Sprint("user-", i)})
	}
	o.arm(far(5), true, want...)
	equal(t, "entries", o.timers(far(5)), want)

	var many []processor.Bucket
	o.write(func(b *processor.Batch) {
		b.Done = []processor.Bucket{far(5)}
		for i := range int64(3_000) {
			m := minute(1000 + i)
			many = append(many, m)
			b.Timers = append(b.Timers, processor.TimerWrite{Bucket: m, New: true, Entries: []processor.TimerEntry{{At: m.Start, User: "ann"}}})
		}
	})
	equal(t, "many buckets", o.again().Buckets, many)
	o.write(func(b *processor.Batch) { b.Done = many })
	equal(t, "after all are over", o.again().Buckets, []processor.Bucket(nil))
}

func testTimersDone(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	for i := range int64(4) {
		o.arm(minute(i*240), true, processor.TimerEntry{At: minute(i * 240).Start, User: "ann"})
		o.arm(far(i), true, processor.TimerEntry{At: far(i).Start, User: "bob"})
	}
	o.write(func(b *processor.Batch) {
		b.Done = []processor.Bucket{minute(240), far(3), far(50)} // the last is not there
	})
	equal(t, "buckets", o.again().Buckets, []processor.Bucket{minute(0), far(0), far(1), minute(480), far(2), minute(720)})
	equal(t, "a bucket that is over", o.timers(minute(240)), []processor.TimerEntry(nil))
	equal(t, "a bucket that begins with it", o.timers(far(1)), []processor.TimerEntry{{At: far(1).Start, User: "bob"}})
}

// A bucket that ends and gets an entry in the same batch holds the entry.
func testTimersDoneAndWritten(t *testing.T, s processor.Store) {
	for _, isNew := range []bool{true, false} {
		o, _ := claim(t, s, epoch+map[bool]int64{false: 1}[isNew], mine)
		b := minute(3)
		o.arm(b, true, processor.TimerEntry{At: b.Start, User: "old"})
		want := []processor.TimerEntry{{At: b.Start + 1000, User: "new"}}
		o.write(func(w *processor.Batch) {
			w.Done = []processor.Bucket{b}
			w.Timers = []processor.TimerWrite{{Bucket: b, New: isNew, Entries: want}}
		})
		equal(t, "entries", o.timers(b), want)
		equal(t, "buckets", o.again().Buckets, []processor.Bucket{b})
		o.write(func(w *processor.Batch) { w.Done = []processor.Bucket{b} })
	}
}

func testTimersEmpty(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	o.arm(minute(3), true)
	equal(t, "buckets", o.again().Buckets, []processor.Bucket(nil))
	o.write(func(b *processor.Batch) {
		b.Timers = []processor.TimerWrite{
			{Bucket: minute(3), New: true},
			{Bucket: minute(4), New: true, Entries: []processor.TimerEntry{{At: minute(4).Start, User: "ann"}}},
			{Bucket: far(5)},
		}
		b.States = []processor.StateWrite{{User: "ann", State: []byte("1")}}
	})
	equal(t, "buckets", o.again().Buckets, []processor.Bucket{minute(4)})
	equal(t, "entries", o.timers(minute(4)), []processor.TimerEntry{{At: minute(4).Start, User: "ann"}})
	equal(t, "states", o.states("ann"), [][]byte{[]byte("1")})
}

func testTimersNegative(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	for _, b := range []processor.Bucket{minute(-1), far(-1), minute(-241), minute(0), far(0)} {
		o.arm(b, true, processor.TimerEntry{At: b.End() - 1000, User: "ann"})
		equal(t, fmt.Sprintf("bucket %+v", b), o.timers(b), []processor.TimerEntry{{At: b.End() - 1000, User: "ann"}})
	}
	equal(t, "buckets", o.again().Buckets, []processor.Bucket{minute(-241), far(-1), minute(-1), minute(0), far(0)})
}

func testTimersClaimed(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	for _, b := range []processor.Bucket{far(8), minute(1), far(2)} {
		o.arm(b, true, processor.TimerEntry{At: b.Start, User: "ann"})
	}
	_, c := claim(t, s, epoch+1, another)
	equal(t, "buckets", c.Buckets, []processor.Bucket{minute(1), far(2), far(8)})
}

// What is erased goes, all that is like it, and before the batch's own entries come.
func testTimersErased(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	m, f := minute(240*50), far(50)
	ann, bob := processor.TimerEntry{At: m.Start + 1000, User: "ann"}, processor.TimerEntry{At: m.Start + 1000, User: "bob"}
	late := processor.TimerEntry{At: f.Start + 7_000_000, User: "ann"}
	o.arm(m, true, ann, bob, ann)
	o.arm(f, true, late)
	o.write(func(b *processor.Batch) {
		b.Erased = []processor.TimerWrite{{Bucket: m, Entries: []processor.TimerEntry{ann}}, {Bucket: f, Entries: []processor.TimerEntry{late}}}
		b.Gone = []string{"ann"}
	})
	equal(t, "the others' entries", o.timers(m), []processor.TimerEntry{bob})
	equal(t, "buckets", o.again().Buckets, []processor.Bucket{m})
	o.write(func(b *processor.Batch) {
		b.Erased = []processor.TimerWrite{{Bucket: m, Entries: []processor.TimerEntry{bob}}}
		b.Timers = []processor.TimerWrite{{Bucket: m, Entries: []processor.TimerEntry{bob}}, {Bucket: f, New: true, Entries: []processor.TimerEntry{late}}}
	})
	equal(t, "an entry written anew", o.timers(m), []processor.TimerEntry{bob})
	equal(t, "a bucket written anew", o.timers(f), []processor.TimerEntry{late})
}
