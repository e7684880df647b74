package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/nudged/nudged/processor"
)

// model is the least that answers like a store.
type model struct {
	exists  bool
	header  processor.Header
	claimer string
	view    view
	applied *processor.Batch // the last one, if nothing came after it
}

func (m *model) claim(c processor.Claim) error {
	switch {
	case !m.exists:
		*m = model{exists: true, header: processor.Header{ID: c.ID, Epoch: c.Epoch, Offset: c.Base, Base: c.Base, Wiping: true}, claimer: c.Claimer}
		m.view.Claimed = &processor.Claimed{Names: map[uint32]string{}}
		m.clear()
	case m.header.ID != c.ID:
		return processor.ErrIdentity
	case m.header.Epoch == c.Epoch && m.claimer == c.Claimer:
	case m.header.Epoch >= c.Epoch:
		return processor.ErrFenced
	default:
		m.header.Epoch, m.header.Version, m.claimer, m.applied = c.Epoch, 0, c.Claimer, nil
	}
	maps.Copy(m.view.Claimed.Names, c.Names)
	return nil
}

func (m *model) clear() {
	m.applied = nil
	m.view.Claimed.Outbox = nil
	m.view.States = map[string]string{}
	m.view.Timers = map[processor.Bucket][]processor.TimerEntry{}
}

func (m *model) write(b *processor.Batch) error {
	switch {
	case !m.exists:
		return processor.ErrLost
	case b.Epoch != m.header.Epoch:
		return processor.ErrFenced
	case m.header.Wiping:
		return processor.ErrLost
	case b == m.applied:
		return nil
	case b.Version != m.header.Version:
		return processor.ErrLost
	}
	m.applied = b
	id := m.header.ID
	m.header = b.Next
	m.header.ID, m.header.Epoch, m.header.Version, m.header.Wiping = id, b.Epoch, b.Version+1, false
	for _, w := range b.States {
		m.view.States[w.User] = string(w.State)
	}
	for _, d := range b.Done {
		delete(m.view.Timers, d)
	}
	for _, w := range b.Timers {
		if len(w.Entries) > 0 {
			m.view.Timers[w.Bucket] = slices.Concat(m.view.Timers[w.Bucket], w.Entries)
		}
	}
	out := &m.view.Claimed.Outbox
	*out = slices.DeleteFunc(slices.Clone(*out), func(e processor.OutboxEntry) bool { return e.Seq <= b.Published })
	if b.Outbox != nil {
		*out = append(*out, *b.Outbox)
	}
	return nil
}

func (m *model) wipe(epoch int64) error {
	switch {
	case !m.exists:
		return processor.ErrLost
	case m.header.Epoch != epoch:
		return processor.ErrFenced
	}
	h := m.header
	m.header = processor.Header{ID: h.ID, Epoch: h.Epoch, Offset: h.Base, Base: h.Base}
	m.clear()
	return nil
}

// testModel runs random calls on the store and on the model, which must answer
// alike and hold the same after each.
func testModel(t *testing.T, s processor.Store) {
	partition := int32(0)
	rapid.Check(t, func(t *rapid.T) {
		partition++ // an empty one for each run
		r := &run{t: t, store: s, tp: processor.TopicPartition{Topic: "model", Partition: partition}}
		t.Repeat(map[string]func(*rapid.T){
			"claim":  r.claim,
			"write":  r.write,
			"repeat": r.repeat,
			"wipe":   r.wipe,
			"":       r.compare,
		})
	})
}

// run is one run of calls.
type run struct {
	t     *rapid.T
	store processor.Store
	tp    processor.TopicPartition
	model model
	sent  []*processor.Batch
}

func (r *run) same(t *rapid.T, call string, got, want error) {
	if want == nil && got != nil || want != nil && !errors.Is(got, want) {
		t.Fatalf("%s = %v, want %v", call, got, want)
	}
}

func (r *run) claim(t *rapid.T) {
	c := processor.Claim{
		ID:      rapid.SampledFrom([]string{id, id, id, id, "other"}).Draw(t, "id"),
		Epoch:   max(1, r.model.header.Epoch+rapid.Int64Range(-1, 2).Draw(t, "epochs ahead")),
		Claimer: rapid.SampledFrom([]string{mine, another}).Draw(t, "claimer"),
		Base:    rapid.Int64Range(0, 50).Draw(t, "base"),
		Names:   rapid.MapOfN(rapid.Uint32Range(0, 4), rapid.String(), 0, 3).Draw(t, "names"),
	}
	_, err := r.store.Claim(context.Background(), r.tp, c)
	r.same(t, fmt.Sprintf("Claim %+v", c), err, r.model.claim(c))
}

func (r *run) write(t *rapid.T) {
	h := r.model.header
	b := &processor.Batch{Epoch: h.Epoch, Version: h.Version, Next: h}
	right := false
	switch rapid.IntRange(0, 9).Draw(t, "fence") {
	case 0:
		b.Epoch += rapid.Int64Range(-1, 1).Draw(t, "epoch")
	case 1:
		b.Version += rapid.Int64Range(-2, 2).Draw(t, "version")
	default:
		right = true
	}
	n := &b.Next
	n.Seq += rapid.Int64Range(0, 2).Draw(t, "batches")
	// Each batch moves on: two that differ can be told apart.
	n.Offset += rapid.Int64Range(1, 9).Draw(t, "offsets") + int64(len(r.sent))*10
	n.Clock += rapid.Int64Range(-5, 5_000).Draw(t, "clock")
	n.Last = rapid.Int64Range(0, n.Seq).Draw(t, "last")
	n.Evidence.SendOffset = rapid.Int64Range(0, 100).Draw(t, "evidence")
	if n.Seq > h.Seq {
		n.History = n.History.With(max(1, b.Epoch), n.Seq)
	}
	b.Published = rapid.Int64Range(0, n.Seq).Draw(t, "published")
	for range rapid.IntRange(0, 4).Draw(t, "states") {
		b.States = append(b.States, processor.StateWrite{
			User:  rapid.SampledFrom(seen).Draw(t, "user"),
			State: rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "state"),
		})
	}
	bucket := rapid.SampledFrom([]processor.Bucket{minute(1), minute(2), far(1), far(0)})
	for range rapid.IntRange(0, 3).Draw(t, "timers") {
		w := processor.TimerWrite{Bucket: bucket.Draw(t, "bucket"), New: rapid.Bool().Draw(t, "new")}
		for range rapid.IntRange(0, 3).Draw(t, "entries") {
			w.Entries = append(w.Entries, processor.TimerEntry{
				At:   w.Bucket.Start + 1000*rapid.Int64Range(0, w.Bucket.Width/1000-1).Draw(t, "at"),
				User: rapid.SampledFrom(seen).Draw(t, "timer of"),
			})
		}
		b.Timers = append(b.Timers, w)
	}
	b.Done = rapid.SliceOfNDistinct(bucket, 0, 2, rapid.ID).Draw(t, "done")
	if n.Seq > h.Seq && rapid.Bool().Draw(t, "records") {
		b.Outbox = &processor.OutboxEntry{Seq: n.Seq, Records: rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "outbox")}
	}
	// Nobody has sent a batch to where the store has yet to get.
	if right {
		r.sent = append(r.sent, b)
	}
	r.send(t, b)
}

func (r *run) send(t *rapid.T, b *processor.Batch) {
	err := r.store.Write(context.Background(), r.tp, b)
	r.same(t, fmt.Sprintf("Write at epoch %d, version %d", b.Epoch, b.Version), err, r.model.write(b))
}

// repeat sends a batch of before once more: the last one, or one that comes late.
func (r *run) repeat(t *rapid.T) {
	if len(r.sent) == 0 {
		t.Skip("nothing was sent yet")
	}
	r.send(t, rapid.SampledFrom(r.sent).Draw(t, "batch"))
}

// wipe empties the partition. Which version it leads to is the store's affair, but
// it is a new one.
func (r *run) wipe(t *rapid.T) {
	before := r.model.header.Version
	epoch := r.model.header.Epoch
	if rapid.IntRange(0, 3).Draw(t, "stranger") == 0 {
		epoch += rapid.Int64Range(-1, 1).Draw(t, "epoch")
	}
	want := r.model.wipe(epoch)
	r.same(t, fmt.Sprintf("Wipe at epoch %d", epoch), r.store.Wipe(context.Background(), r.tp, epoch), want)
	if want == nil {
		_, version, err := r.store.Fence(context.Background(), r.tp)
		if err != nil || version <= before {
			t.Fatalf("Fence = version %d, %v, want one above %d", version, err, before)
		}
		r.model.header.Version = version
	}
}

// compare looks at all that is stored.
func (r *run) compare(t *rapid.T) {
	o := &owner{t: t, store: r.store, tp: r.tp, claimer: r.model.claimer, head: r.model.header}
	if !r.model.exists {
		if h := o.peek(); h != nil {
			t.Fatalf("Peek = %+v, want nil", h)
		}
		return
	}
	equal(t, "header", *o.peek(), r.model.header)
	e, v, err := r.store.Fence(context.Background(), r.tp)
	if e != r.model.header.Epoch || v != r.model.header.Version || err != nil {
		t.Fatalf("Fence = %d, %d, %v, want %d, %d", e, v, err, r.model.header.Epoch, r.model.header.Version)
	}
	if r.model.header.ID != id {
		return // the view claims under the suite's id
	}
	want := r.model.view
	want.Claimed.Header = r.model.header
	want.Claimed.Buckets = slices.SortedFunc(maps.Keys(want.Timers), func(a, b processor.Bucket) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Width, b.Width))
	})
	equal(t, "what is stored", o.look(), want)
}
