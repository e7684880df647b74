package processor_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/memory"
)

// mistakes are the naive mistakes that docs/guarantees.md argues against, planted
// around the processor to see that the simulation notices them.
type mistakes struct {
	noFence         bool // the store takes batches from whoever comes
	epochsFromRedis bool // epochs are counted in Redis alone
	trimEarly       bool // a batch drops the outbox before it is published
	decideAgain     bool // what Redis is ahead with is thrown away
	leftovers       bool // the outbox is published again whatever K says
	noEpochs        bool // histories are compared by seq alone
	notIdempotent   bool // a repeated write enters the outbox twice
	timersAlone     bool // what leaves the offset where it is is not committed
	readUnstable    bool // offsets are fetched though a transaction is pending
	repeatUnknown   bool // a commit without a reply is taken for a failure
	anyOwner        bool // the group does not say who may commit
}

// planted is a store with mistakes.
type planted struct {
	*memory.Store
	w       *world
	applied map[processor.TopicPartition]*processor.Batch // last
}

func (m mistakes) store(w *world) processor.Store {
	if m == (mistakes{}) {
		return w.store
	}
	return &planted{w.store, w, map[processor.TopicPartition]*processor.Batch{}}
}

func (s *planted) Write(ctx context.Context, tp processor.TopicPartition, b *processor.Batch) error {
	m := s.w.plant
	again := s.applied[tp] == b
	r, _ := s.Store.Peek(ctx, tp)
	call := *b
	switch {
	case m.noFence && again:
		return nil
	case m.noFence && r != nil:
		call.Epoch, call.Version = r.Epoch, r.Version
	case m.notIdempotent && again && r != nil && r.Epoch == b.Epoch:
		call.Version = r.Version
	case m.trimEarly:
		call.Published = b.Next.Seq - 1
	}
	err := s.Store.Write(ctx, tp, &call)
	if err == nil {
		s.applied[tp] = b
	}
	return err
}

func (s *planted) Peek(ctx context.Context, tp processor.TopicPartition) (*processor.Header, error) {
	r, err := s.Store.Peek(ctx, tp)
	if err == nil && r != nil {
		s.bend(tp, r)
	}
	return r, err
}

func (s *planted) Claim(ctx context.Context, tp processor.TopicPartition, c processor.Claim) (*processor.Claimed, error) {
	out, err := s.Store.Claim(ctx, tp, c)
	if err != nil {
		return nil, err
	}
	s.bend(tp, &out.Header)
	for i := range out.Outbox {
		if s.w.plant.leftovers {
			out.Outbox[i].Seq = out.Header.Seq
		}
	}
	return out, nil
}

// bend changes what a header is taken for.
func (s *planted) bend(tp processor.TopicPartition, r *processor.Header) {
	k, _ := s.w.log.position(tp)
	if s.w.plant.noEpochs && r.Seq > 0 {
		r.History = processor.History{{Epoch: 1, First: 1}}
	}
	if s.w.plant.decideAgain && r.Seq > k.Seq {
		r.Seq, r.Offset, r.Last, r.Clock, r.History = k.Seq, k.Offset, k.Last, k.Clock, k.History
	}
}

// inspected changes what is read of K.
func (m mistakes) inspected(in processor.Inspection) processor.Inspection {
	k, err := processor.ParsePosition(in.Metadata)
	if err != nil {
		return in
	}
	if m.epochsFromRedis {
		k.Epoch = 0
	}
	if m.noEpochs && k.Seq > 0 {
		k.History = processor.History{{Epoch: 1, First: 1}}
	}
	in.Metadata = k.Metadata()
	return in
}

// commit makes a transaction visible.
func (m mistakes) commit(w *world, pubs []*processor.Publication, replied bool) {
	for _, pub := range pubs {
		before, committed := w.log.committed[pub.Input]
		w.log.apply([]*processor.Publication{pub})
		if m.timersAlone && committed && before.offset == pub.Commit.Offset && len(pub.Entries) > 0 {
			w.log.committed[pub.Input] = before
		}
	}
	if m.repeatUnknown && !replied {
		w.log.apply(pubs)
	}
}

// failure is what a recorder's Fatalf panics with.
type failure string

// recorder takes the place of a test that must fail.
type recorder struct{}

func (recorder) Helper()                             {}
func (r recorder) Errorf(format string, args ...any) { r.Fatalf(format, args...) }
func (recorder) Fatalf(format string, args ...any)   { panic(failure(fmt.Sprintf(format, args...))) }

// caught runs a seed and returns what it complained of.
func caught(seed uint64, rollback bool, plant mistakes) (complaint string) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failure:
			complaint = string(r)
		default:
			panic(r)
		}
	}()
	simulate(recorder{}, seed, rollback, plant)
	return ""
}

// Each mistake loses or repeats something within some hundred runs, and the
// simulation says so.
func TestSimulationCatchesNaiveMistakes(t *testing.T) {
	for _, c := range []struct {
		name     string
		plant    mistakes
		rollback bool
	}{
		{"no fence in the store", mistakes{noFence: true}, false},
		{"epochs counted in Redis", mistakes{epochsFromRedis: true}, true},
		{"trimmed before the commit", mistakes{trimEarly: true}, false},
		{"decided again", mistakes{decideAgain: true}, false},
		{"leftovers published", mistakes{leftovers: true}, false},
		{"seq without epoch", mistakes{noEpochs: true}, true},
		{"repeated writes count twice", mistakes{notIdempotent: true}, false},
		{"timers without offsets", mistakes{timersAlone: true}, false},
		{"unstable offsets", mistakes{readUnstable: true}, false},
		{"unknown outcome taken for failure", mistakes{repeatUnknown: true}, false},
		{"committed by whoever comes", mistakes{anyOwner: true}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for seed := uint64(1); seed <= 3000; seed++ {
					if complaint := caught(seed, c.rollback, c.plant); complaint != "" {
						line, _, _ := strings.Cut(complaint, "\n")
						t.Logf("seed %d: %s", seed, line)
						return
					}
				}
				t.Error("3,000 runs have not noticed it")
			})
		})
	}
}
