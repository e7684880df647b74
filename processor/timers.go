package processor

import "container/heap"

// timers is the owner's view of the timer index of one partition. An entry is
// a hint to look at a user; the truth is in the state. Buckets that begin at or
// below horizon are in the heap, later ones only in the store.
type timers struct {
	due     dueHeap
	buckets map[Bucket]bool // exist in the store; true: loaded
	horizon int64
}

type dueEntry struct {
	at   int64
	user string
}

func newTimers(existing []Bucket) *timers {
	t := &timers{buckets: make(map[Bucket]bool, len(existing)), horizon: -1}
	for _, b := range existing {
		t.buckets[b] = false
	}
	return t
}

// push enters a hint that is within the horizon.
func (t *timers) push(at int64, user string) {
	heap.Push(&t.due, dueEntry{at, user})
}

// pop takes the next hint at or before until.
func (t *timers) pop(until int64) (dueEntry, bool) {
	if len(t.due) == 0 || t.due[0].at > until {
		return dueEntry{}, false
	}
	return heap.Pop(&t.due).(dueEntry), true
}

// next returns when the next hint within the horizon is due.
func (t *timers) next() (int64, bool) {
	if len(t.due) == 0 {
		return 0, false
	}
	return t.due[0].at, true
}

// toLoad lists the buckets that begin at or below horizon and are not loaded.
func (t *timers) toLoad(horizon int64) []Bucket {
	if horizon <= t.horizon || minute(horizon) == minute(t.horizon) {
		return nil // buckets begin at full minutes
	}
	var out []Bucket
	for b, loaded := range t.buckets {
		if !loaded && b.Start <= horizon {
			out = append(out, b)
		}
	}
	return out
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

// minute rounds a time down to a whole minute.
func minute(ms int64) int64 { return ms - mod(ms, MinuteBucket) }

func mod(a, b int64) int64 {
	m := a % b
	if m < 0 {
		m += b
	}
	return m
}

// over lists the buckets whose every hint has been followed when the clock
// stands at clock.
func (t *timers) over(clock int64) []Bucket {
	var out []Bucket
	for b, loaded := range t.buckets {
		if loaded && b.End() <= clock {
			out = append(out, b)
		}
	}
	return out
}

type dueHeap []dueEntry

func (h dueHeap) Len() int { return len(h) }
func (h dueHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].user < h[j].user
}
func (h dueHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)   { *h = append(*h, x.(dueEntry)) }
func (h *dueHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = dueEntry{}
	*h = old[:len(old)-1]
	return e
}
