package processor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/memory"
	"github.com/nudged/nudged/rules"
)

// failer is what testing.T and rapid.T have in common.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// stand is one process that works on a scenario, driven call by call.
type stand struct {
	t     failer
	sc    *scenario
	log   *fakeLog
	store *memory.Store
	pr    *processor.Processor
	cfg   processor.Config
	now   int64 // wall clock of the process
	// cacheSegment, if it is not 0, keeps the cache of states so small that they
	// fall out of it: the bytes of one of its three segments.
	cacheSegment int
}

// newStand starts over with an empty store and an empty group. change, if any,
// adapts the configuration.
func newStand(t failer, sc *scenario, change func(*processor.Config)) *stand {
	s := &stand{t: t, sc: sc, log: newFakeLog(sc.input), store: &memory.Store{}}
	s.cfg = processor.Config{
		Settings: sc.settings(s.store, "aaaaaaaa"), Log: member{s.log, "one"},
		Logger: slog.New(slog.DiscardHandler),
		Now:    func() int64 { s.now++; return s.now },
	}
	if change != nil {
		change(&s.cfg)
	}
	s.pr = processor.New(s.cfg)
	for _, tp := range s.log.inputs() {
		s.log.assign(tp, "one")
		s.pr.Own(tp, func(err error) { t.Fatalf("%s has to be recovered: %v", tp, err) })
	}
	return s
}

// claim opens the partition anew.
func (s *stand) claim(tp processor.TopicPartition) *processor.Partition {
	s.t.Helper()
	parts, errs := s.pr.ClaimNow(context.Background(), tp)
	if errs[0] != nil {
		s.t.Fatalf("claim %s: %v", tp, errs[0])
	}
	if s.cacheSegment > 0 {
		parts[0].ShrinkCache(s.cacheSegment)
	}
	return parts[0]
}

// consume applies records to the partition. Afterwards the memory of their values
// is overwritten: nothing may point into it any more but dead letters.
func (s *stand) consume(p *processor.Partition, recs []processor.Record) {
	s.t.Helper()
	own := make([]processor.Record, len(recs))
	for i, r := range recs {
		own[i] = r
		own[i].Value = slices.Clone(r.Value)
	}
	if err := p.Consume(context.Background(), own); err != nil {
		s.t.Fatalf("consume: %v", err)
	}
	for i, r := range own {
		if slices.Contains(s.sc.dead[s.partitionOf(recs[i])], r.Offset) {
			continue
		}
		for j := range r.Value {
			r.Value[j] = '#'
		}
	}
}

// partitionOf finds the partition that a record of the scenario is in.
func (s *stand) partitionOf(rec processor.Record) int {
	for p, recs := range s.sc.input {
		if at := rec.Offset; at < int64(len(recs)) && slices.Equal(recs[at].Value, rec.Value) && recs[at].Control == rec.Control {
			return p
		}
	}
	return 0
}

func (s *stand) flush(p *processor.Partition) {
	s.t.Helper()
	if err := p.Flush(context.Background()); err != nil {
		s.t.Fatalf("flush: %v", err)
	}
}

func (s *stand) publish() {
	s.t.Helper()
	if err := s.pr.PublishNow(context.Background()); err != nil {
		s.t.Fatalf("publish: %v", err)
	}
}

// checkOutcome compares what is visible with the oracle, and K with R.
func checkOutcome(t failer, sc *scenario, log *fakeLog, store *memory.Store) {
	t.Helper()
	for p := range sc.input {
		tp := inputPartition(int32(p))
		marks, got := log.records(tp)
		if err := sc.compare(p, got); err != nil {
			t.Fatalf("%s: %v", tp, err)
		}
		k, _ := log.position(tp)
		if err := checkMarks(k, marks, false); err != nil {
			t.Fatalf("%s: %v", tp, err)
		}
		var dead []string
		for _, o := range sc.dead[p] {
			dead = append(dead, fmt.Sprint(o))
		}
		letters := log.deadLetters(tp)
		offsets := make([]string, 0, len(letters))
		for _, l := range letters {
			offset, _, _ := strings.Cut(l, ": ")
			offsets = append(offsets, offset)
		}
		if !slices.Equal(offsets, dead) {
			t.Fatalf("%s: dead letters of offsets %v, want %v", tp, offsets, dead)
		}
		r, err := store.Peek(context.Background(), tp)
		if err != nil || r == nil {
			t.Fatalf("%s: R is %v, %v", tp, r, err)
		}
		if k.Offset != int64(len(sc.input[p])) || k.Seq != r.Seq || k.Offset != r.Offset || k.Last != r.Last || k.Clock != r.Clock || k.Base != r.Base ||
			k.History.String() != r.History.String() {
			t.Fatalf("%s: at the end of %d records\nK is %+v\nR is %+v", tp, len(sc.input[p]), k, *r)
		}
	}
	for _, b := range log.broken {
		t.Errorf("%s", b)
	}
}

func firstDifference(a, b []message) int {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return i
		}
	}
	return -1
}

func at(list []message, i int) string {
	if i < len(list) {
		return list[i].String()
	}
	return "nothing"
}

// checkMarks proves from the marks of an input partition that nothing is missing
// and nothing is there twice, as a replay would have to.
// On the wall clock the clock may go back: that of the next owner may be behind.
func checkMarks(k processor.Position, marks []processor.Mark, wall bool) error {
	previous, index := int64(0), 0
	var last processor.Mark
	for n, m := range marks {
		if index == 0 {
			if m.Previous != previous || m.Seq <= previous {
				return fmt.Errorf("record %d is of batch %d after %d, the one before was %d", n, m.Seq, m.Previous, previous)
			}
		} else if m.Seq != last.Seq || m.Count != last.Count || m.Epoch != last.Epoch || m.Previous != last.Previous {
			return fmt.Errorf("record %d has the mark %+v within %+v", n, m, last)
		}
		if m.Index != index {
			return fmt.Errorf("record %d of batch %d is number %d, want %d", n, m.Seq, m.Index, index)
		}
		if epoch, ok := k.History.EpochAt(m.Seq); ok && epoch != m.Epoch {
			return fmt.Errorf("batch %d was decided under epoch %d, K says %d", m.Seq, m.Epoch, epoch)
		}
		if m.Position < last.Position || m.Clock < last.Clock && !wall || m.Group != "group" || m.Cause != processor.ByEvent && m.Cause != processor.ByTimer {
			return fmt.Errorf("record %d has the mark %+v after %+v", n, m, last)
		}
		last = m
		if index++; index == m.Count {
			previous, index = m.Seq, 0
		}
	}
	if index != 0 {
		return fmt.Errorf("of batch %d only %d of %d records are there", last.Seq, index, last.Count)
	}
	if previous != k.Last {
		return fmt.Errorf("the newest batch with records is %d, K says %d", previous, k.Last)
	}
	return nil
}

// checkHints holds the timer index against the states: everything that is pending
// must be come across when it is due, by the partition at work (if not nil) and
// by whoever opens it next.
func checkHints(t failer, set *rules.Set, store *memory.Store, tp processor.TopicPartition, users []string, live *processor.Partition) {
	t.Helper()
	ctx := context.Background()
	var copied memory.Store
	copied.Restore(store.Snapshot())
	r, err := copied.Peek(ctx, tp)
	if err != nil {
		t.Fatalf("peek: %v", err)
	}
	claimed, err := copied.Claim(ctx, tp, processor.Claim{ID: r.ID, Epoch: r.Epoch + 1})
	blobs, serr := copied.States(ctx, tp, processor.Fence{}, users)
	if err := errors.Join(err, serr); err != nil {
		t.Fatalf("look into the store: %v", err)
	}
	stored, loaded := map[string][]int64{}, map[string][]int64{}
	for _, b := range claimed.Buckets {
		entries, err := copied.Timers(ctx, tp, processor.Fence{}, b, 0, 1<<20)
		if err != nil {
			t.Fatalf("timers: %v", err)
		}
		for _, e := range entries {
			if e.At+1000 <= r.Clock {
				continue // was followed
			}
			stored[e.User] = append(stored[e.User], e.At)
			if live != nil && e.At >= live.Horizon() {
				loaded[e.User] = append(loaded[e.User], e.At)
			}
		}
	}
	if live != nil {
		for _, h := range live.Hints() {
			loaded[h.User] = append(loaded[h.User], h.At)
		}
	}
	var st rules.State
	for i, blob := range blobs {
		if len(blob) == 0 {
			continue
		}
		if err := st.Decode(blob); err != nil {
			t.Fatalf("state of %s: %v", users[i], err)
		}
		due, ok := st.NextDue(set)
		if !ok {
			continue
		}
		inTime := func(at int64) bool { return at <= due }
		if !slices.ContainsFunc(stored[users[i]], inTime) {
			t.Fatalf("%s has something due at %d, the clock stands at %d, its index entries are at %v (hint %d)", users[i], due, r.Clock, stored[users[i]], st.TimerHint())
		}
		if live != nil && !slices.ContainsFunc(loaded[users[i]], inTime) {
			t.Fatalf("%s has something due at %d, the clock stands at %d, the partition knows of %v", users[i], due, r.Clock, loaded[users[i]])
		}
	}
}
