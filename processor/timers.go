package processor

import (
	"cmp"
	"container/heap"
	"slices"
)

// timers is the owner's view of the timer index of one partition. An entry is
// a hint to look at a user; the truth is in the state. Hints before the horizon
// are in memory, later ones only in the store.
type timers struct {
	due     dueHeap
	ready   []dueEntry      // taken out of due ahead of time, in order: their states are in the book
	buckets map[Bucket]bool // exist in the store
	horizon int64           // a full second
	keep    int             // hints that are kept in memory, about
	limit   int             // above which the horizon is drawn in
}

type dueEntry struct {
	at   int64
	user string
}

func (d dueEntry) compare(e dueEntry) int {
	return cmp.Or(cmp.Compare(d.at, e.at), cmp.Compare(d.user, e.user))
}

// defaultHints is how many hints of a partition are in memory unless Settings say
// so.
const defaultHints = 25_000

// newTimers returns the timers of a partition whose clock stands at clock. What
// came up before was followed then.
func newTimers(existing []Bucket, clock int64, keep int) *timers {
	t := &timers{buckets: make(map[Bucket]bool, len(existing)), horizon: Second(clock), keep: keep, limit: 2 * keep}
	for _, b := range existing {
		t.buckets[b] = true
	}
	return t
}

// push enters a hint if it is before the horizon.
func (t *timers) push(at int64, user string) {
	if at >= t.horizon {
		return
	}
	heap.Push(&t.due, dueEntry{at, user})
	if len(t.due) > t.limit {
		t.drawIn()
	}
}

// drawIn brings the horizon nearer, so that only the next hints stay in memory.
// The others are in the store, or among what the open batch has armed.
func (t *timers) drawIn() {
	t.due = append(t.due, t.ready...)
	t.ready = nil                            // what stays is readied again
	slices.SortFunc(t.due, dueEntry.compare) // a sorted list is a heap
	to, cut := shorten(t.due, t.keep)
	t.due = slices.Clone(t.due[:cut])
	t.horizon, t.limit = min(to, t.horizon), 2*max(cut, t.keep)
}

// shorten returns a full second and how many hints of the sorted list are before
// it: at most keep, but all of the first second.
func shorten(list []dueEntry, keep int) (to int64, n int) {
	before := func(to int64) int {
		n, _ := slices.BinarySearchFunc(list, to, func(d dueEntry, to int64) int { return cmp.Compare(d.at, to) })
		return n
	}
	to = Second(list[keep].at)
	if n = before(to); n == 0 {
		to += 1000
		n = before(to)
	}
	return to, n
}

// pop takes the next hint at or before until.
func (t *timers) pop(until int64) (dueEntry, bool) {
	if len(t.ready) > 0 && (len(t.due) == 0 || t.ready[0].compare(t.due[0]) <= 0) {
		d := t.ready[0]
		if d.at > until {
			return dueEntry{}, false
		}
		t.ready[0] = dueEntry{}
		t.ready = t.ready[1:]
		return d, true
	}
	if len(t.due) == 0 || t.due[0].at > until {
		return dueEntry{}, false
	}
	return heap.Pop(&t.due).(dueEntry), true
}

// prepare readies up to n hints at or before until, and calls want for the user
// of each.
func (t *timers) prepare(until int64, n int, want func(user string)) {
	for len(t.ready) < n && len(t.due) > 0 && t.due[0].at <= until {
		d := heap.Pop(&t.due).(dueEntry)
		if i := len(t.ready); i > 0 && d.compare(t.ready[i-1]) < 0 {
			heap.Push(&t.due, d) // it came after later ones were readied: pop finds it
			return
		}
		t.ready = append(t.ready, d)
		want(d.user)
	}
}

// next returns when the next hint in memory is due.
func (t *timers) next() (int64, bool) {
	switch {
	case len(t.due) == 0 && len(t.ready) == 0:
		return 0, false
	case len(t.due) == 0:
		return t.ready[0].at, true
	case len(t.ready) == 0:
		return t.due[0].at, true
	}
	return min(t.due[0].at, t.ready[0].at), true
}

// ahead says how far the horizon is to be moved so that the next hints come into
// memory, which lie at or before until if any do; and which buckets may hold some
// of them, by their beginning.
func (t *timers) ahead(until int64) (to int64, buckets []Bucket) {
	first := max(until, t.horizon)
	for b := range t.buckets {
		if b.End() > t.horizon {
			first = min(first, max(b.Start, t.horizon))
		}
	}
	to = first - mod(first, FarBucket) + FarBucket
	for b := range t.buckets {
		if b.End() > t.horizon && b.Start < to {
			buckets = append(buckets, b)
		}
	}
	slices.SortFunc(buckets, func(a, b Bucket) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Width, b.Width)) })
	return to, buckets
}

// gathering collects the first hints of a span, as many as are to be kept.
type gathering struct {
	from, to    int64 // the span; to comes nearer when there are too many
	keep, limit int
	found       []dueEntry
}

func (g *gathering) add(at int64, user string) {
	if at < g.from || at >= g.to {
		return
	}
	g.found = append(g.found, dueEntry{at, user})
	if len(g.found) <= g.limit {
		return
	}
	slices.SortFunc(g.found, dueEntry.compare)
	to, n := shorten(g.found, g.keep)
	clear(g.found[n:])
	g.found, g.to, g.limit = g.found[:n], min(to, g.to), 2*max(n, g.keep)
}

// BucketFor chooses the bucket of a hint, seen from the clock: minutes for the
// coming hour, far buckets beyond.
func BucketFor(at, clock int64) Bucket {
	width := int64(FarBucket)
	if at < clock+3_600_000 {
		width = MinuteBucket
	}
	return Bucket{Start: at - mod(at, width), Width: width}
}

func mod(a, b int64) int64 {
	m := a % b
	if m < 0 {
		m += b
	}
	return m
}

// over lists the buckets whose every hint has been followed when the clock
// stands at clock. Those that are written to at the same time stay, though their
// time is over: they would go and come again.
func (t *timers) over(clock int64, written []TimerWrite) []Bucket {
	var out []Bucket
	for b := range t.buckets {
		if b.End() <= min(clock, t.horizon) && !slices.ContainsFunc(written, func(w TimerWrite) bool { return w.Bucket == b }) {
			out = append(out, b)
		}
	}
	return out
}

type dueHeap []dueEntry

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].compare(h[j]) < 0 }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(dueEntry)) }
func (h *dueHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = dueEntry{}
	*h = old[:len(old)-1]
	return e
}
