package processor

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Every hint lies in its bucket, buckets begin at multiples of their width, and
// narrow ones are only for the coming hour.
func TestBucketFor(t *testing.T) {
	const hour = 3_600_000
	rapid.Check(t, func(t *rapid.T) {
		clock := rapid.Int64Range(-10*hour, math.MaxInt64/4).Draw(t, "clock")
		at := clock + rapid.OneOf(
			rapid.Int64Range(-hour, 2*hour),
			rapid.Int64Range(-400*24*hour, 400*24*hour),
			rapid.SampledFrom([]int64{hour - 1, hour, hour + 1, FarBucket}),
		).Draw(t, "in")
		b := BucketFor(at, clock)
		if at < b.Start || at >= b.End() {
			t.Fatalf("%d seen from %d is put into the bucket from %d to %d", at, clock, b.Start, b.End())
		}
		want := int64(FarBucket)
		if at < clock+hour {
			want = MinuteBucket
		}
		if b.Width != want || b.Start%b.Width != 0 {
			t.Fatalf("%d seen from %d is put into the bucket from %d, %d wide; want a multiple of %d", at, clock, b.Start, b.Width, want)
		}
		// Seen later, the same hint is never in a bucket that begins earlier: what
		// had to be loaded then has to be loaded still.
		later := clock + rapid.Int64Range(0, 5*hour).Draw(t, "later")
		if c := BucketFor(at, later); c.Start < b.Start {
			t.Fatalf("%d is in the bucket from %d, and from %d an hour later", at, b.Start, c.Start)
		}
	})
}

func TestSecond(t *testing.T) {
	for _, c := range [][2]int64{{0, 0}, {999, 0}, {1000, 1000}, {1999, 1000}, {-1, -1000}, {-1000, -1000}, {-1001, -2000}} {
		if got := Second(c[0]); got != c[1] {
			t.Errorf("Second(%d) = %d, want %d", c[0], got, c[1])
		}
	}
}

func TestHintsComeInTheOrderOfTimeThenUser(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tm := newTimers(nil, 1_000_000, 1000)
		var want []dueEntry
		for range rapid.IntRange(0, 40).Draw(t, "hints") {
			d := dueEntry{rapid.Int64Range(-5, 20).Draw(t, "at"), rapid.StringMatching(`[a-c]`).Draw(t, "user")}
			want = append(want, d)
			tm.push(d.at, d.user)
		}
		slices.SortFunc(want, func(a, b dueEntry) int {
			if a.at != b.at {
				return int(a.at - b.at)
			}
			return int(a.user[0]) - int(b.user[0])
		})
		for until := int64(-6); until <= 20; until++ {
			for len(want) > 0 && want[0].at <= until {
				if next, ok := tm.next(); !ok || next != want[0].at {
					t.Fatalf("next is %d, %v, want %d", next, ok, want[0].at)
				}
				if got, ok := tm.pop(until); !ok || got != want[0] {
					t.Fatalf("pop until %d: %v, %v, want %v", until, got, ok, want[0])
				}
				want = want[1:]
			}
			if got, ok := tm.pop(until); ok {
				t.Fatalf("pop until %d: %v, want nothing", until, got)
			}
		}
		if next, ok := tm.next(); ok {
			t.Fatalf("next is %d, want nothing", next)
		}
	})
}

// Whatever the store holds, and however little is kept in memory, hints come once
// each, in the order of time, none late; and never much more is in memory than is
// to be kept.
func TestHintsAreReadAsTheyComeUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keep := rapid.IntRange(1, 8).Draw(t, "keep")
		stored := map[Bucket][]dueEntry{}
		var owed []dueEntry
		perSecond := map[int64]int{}
		write := func(at, clock int64) {
			d := dueEntry{Second(at), string(rune('a'+len(owed)%26)) + string(rune('a'+len(owed)/26))}
			b := BucketFor(d.at, clock)
			stored[b] = append(stored[b], d)
			owed = append(owed, d)
			perSecond[d.at]++
		}
		anyTime := rapid.OneOf(rapid.Int64Range(0, 20*MinuteBucket), rapid.Int64Range(0, 3*FarBucket), rapid.SampledFrom([]int64{7000, 7500, FarBucket, FarBucket - 1}))
		for range rapid.IntRange(0, 80).Draw(t, "entries") {
			write(anyTime.Draw(t, "at"), 0)
		}
		var existing []Bucket
		for b := range stored {
			existing = append(existing, b)
		}
		tm := newTimers(existing, 0, keep)
		var came []dueEntry
		has := map[dueEntry]bool{}
		until := int64(0)
		for step := range rapid.IntRange(1, 20).Draw(t, "steps") {
			if step == 19 {
				until += 6 * FarBucket
			}
			until += rapid.OneOf(rapid.Int64Range(0, 2*MinuteBucket), rapid.Int64Range(0, FarBucket)).Draw(t, "step")
			tm.prepare(until+rapid.SampledFrom([]int64{0, MinuteBucket, FarBucket}).Draw(t, "prepared"), 5, func(string) {})
			for {
				d, ok := tm.pop(until)
				if ok {
					if has[d] {
						t.Fatalf("%v came twice", d)
					}
					came, has[d] = append(came, d), true
					continue
				}
				if until < tm.horizon {
					break
				}
				from := tm.horizon
				to, buckets := tm.ahead(until)
				g := gathering{from: from, to: to, keep: keep, limit: 2 * keep}
				for _, b := range buckets {
					for _, d := range stored[b] {
						g.add(d.at, d.user)
					}
				}
				if g.to <= from {
					t.Fatalf("the horizon goes from %d to %d", from, g.to)
				}
				tm.horizon = g.to
				for _, d := range g.found {
					tm.push(d.at, d.user)
				}
			}
			if now := rapid.Bool().Draw(t, "arm"); now {
				d := until + 1000 + anyTime.Draw(t, "in")
				write(d, until)
				tm.buckets[BucketFor(Second(d), until)] = true
				tm.push(Second(d), owed[len(owed)-1].user)
			}
			most := 0
			for _, n := range perSecond {
				most = max(most, n)
			}
			if n := len(tm.due); n > 2*max(keep, most)+5 {
				t.Fatalf("%d hints are in memory, %d are to be kept, %d are of one second", n, keep, most)
			}
			for _, d := range owed {
				if d.at <= until && !has[d] {
					t.Fatalf("at %d %v has not come", until, d)
				}
			}
			for _, b := range tm.over(until, nil) {
				if b.End() > until {
					t.Fatalf("at %d the bucket up to %d is over", until, b.End())
				}
			}
		}
		if !slices.IsSortedFunc(came, func(a, b dueEntry) int { return cmp.Compare(a.at, b.at) }) {
			t.Fatalf("not in order: %v", came)
		}
	})
}

// Over are buckets of which nothing can come up any more, and whose every hint has
// been in memory.
func TestOver(t *testing.T) {
	minute := func(n int64) Bucket { return Bucket{Start: n * MinuteBucket, Width: MinuteBucket} }
	far := func(n int64) Bucket { return Bucket{Start: n * FarBucket, Width: FarBucket} }
	tm := newTimers([]Bucket{minute(1), minute(2), minute(3), far(0), far(1)}, 0, 10)
	tm.horizon = 3 * MinuteBucket
	for _, c := range []struct {
		clock int64
		want  []Bucket
	}{
		{2*MinuteBucket - 1, nil},
		{2 * MinuteBucket, []Bucket{minute(1)}},
		{3*MinuteBucket - 1, []Bucket{minute(1)}},
		{9 * FarBucket, []Bucket{minute(1), minute(2)}}, // the others have not been read
	} {
		got := tm.over(c.clock, nil)
		slices.SortFunc(got, func(a, b Bucket) int { return int(a.Start - b.Start) })
		if !slices.Equal(got, c.want) {
			t.Errorf("at %d are over %v, want %v", c.clock, got, c.want)
		}
	}
}
