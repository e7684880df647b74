package processor

import (
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
		if got := second(c[0]); got != c[1] {
			t.Errorf("second(%d) = %d, want %d", c[0], got, c[1])
		}
	}
}

func TestHintsComeInTheOrderOfTimeThenUser(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tm := newTimers(nil)
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

// The horizon moves as the clock does; every bucket is loaded when it has come
// up, and only once.
func TestToLoadListsEachBucketOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var existing []Bucket
		for range rapid.IntRange(0, 12).Draw(t, "buckets") {
			b := Bucket{Start: rapid.Int64Range(0, 30).Draw(t, "minute") * MinuteBucket, Width: MinuteBucket}
			if rapid.Bool().Draw(t, "far") {
				b = Bucket{Start: rapid.Int64Range(0, 2).Draw(t, "far start") * FarBucket, Width: FarBucket}
			}
			existing = append(existing, b)
		}
		tm := newTimers(existing)
		horizon := int64(0)
		for range rapid.IntRange(1, 10).Draw(t, "steps") {
			horizon += rapid.Int64Range(0, 10*MinuteBucket).Draw(t, "step")
			for _, b := range tm.toLoad(horizon) {
				if b.Start > horizon || tm.buckets[b] {
					t.Fatalf("up to %d the bucket from %d is loaded, loaded before: %v", horizon, b.Start, tm.buckets[b])
				}
				tm.buckets[b] = true
			}
			tm.horizon = max(tm.horizon, horizon)
			for b, loaded := range tm.buckets {
				if !loaded && b.Start <= horizon {
					t.Fatalf("up to %d the bucket from %d is not loaded", horizon, b.Start)
				}
			}
		}
	})
}

// Over are buckets of which nothing can come up any more, and whose hints were
// all in the heap.
func TestOver(t *testing.T) {
	minute := func(n int64) Bucket { return Bucket{Start: n * MinuteBucket, Width: MinuteBucket} }
	far := func(n int64) Bucket { return Bucket{Start: n * FarBucket, Width: FarBucket} }
	tm := newTimers([]Bucket{minute(1), minute(2), minute(3), far(0), far(1)})
	tm.buckets[minute(1)], tm.buckets[minute(2)], tm.buckets[far(0)] = true, true, true
	for _, c := range []struct {
		clock int64
		want  []Bucket
	}{
		{2*MinuteBucket - 1, nil},
		{2 * MinuteBucket, []Bucket{minute(1)}},
		{3*MinuteBucket - 1, []Bucket{minute(1)}},
		{4 * MinuteBucket, []Bucket{minute(1), minute(2)}}, // the third was never loaded
		{FarBucket - 1, []Bucket{minute(1), minute(2)}},
		{FarBucket, []Bucket{far(0), minute(1), minute(2)}},
		{9 * FarBucket, []Bucket{far(0), minute(1), minute(2)}},
	} {
		got := tm.over(c.clock)
		slices.SortFunc(got, func(a, b Bucket) int { return int(a.Start - b.Start) })
		if !slices.Equal(got, c.want) {
			t.Errorf("at %d are over %v, want %v", c.clock, got, c.want)
		}
	}
}
