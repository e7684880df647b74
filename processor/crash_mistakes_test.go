package processor_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/memory"
	"github.com/nudged/nudged/sinks"
)

// mistakes are the naive mistakes that the protocol argues against, planted around
// the processor to see that the simulation notices them.
type mistakes struct {
	noFence         bool // N1: the store takes batches from whoever comes
	epochsFromRedis bool // N2: epochs are counted in Redis alone
	generations     bool // N3: the group's generation is the epoch
	trimEarly       bool // N4: a batch drops the outbox before it is published
	decideAgain     bool // N5: what Redis is ahead with is thrown away
	leftovers       bool // N6: the outbox is published again whatever K says
	rulesAlone      bool // N7: a replay asks the rules, not the evidence
	dropKnown       bool // N8: the same, and commands that are visible are dropped
	noEpochs        bool // N9: histories are compared by seq alone
	notIdempotent   bool // N10: a repeated write enters the outbox twice
	offsetAlone     bool // N11: the position is an offset and nothing else
	toStable        bool // N12: evidence is read up to what is stable now
	readUnstable    bool // N13: offsets are fetched though a transaction is pending
	repeatUnknown   bool // N14: a commit without a reply is taken for a failure
	anyOwner        bool // N15: the group does not say who may commit
	timersAlone     bool // N16: what leaves the offset where it is is not committed
	split           bool // N17: a write of a replay ends within a batch
	neverLooks      bool // N18: an idle partition does not look at Redis
	overlap         bool // N19: a transaction begins while another has no outcome
}

// planted is a store with mistakes.
type planted struct {
	*memory.Store
	w       *world
	p       *proc
	applied map[processor.TopicPartition]*processor.Batch // last
}

func (m mistakes) store(w *world, p *proc) processor.Store {
	if m == (mistakes{}) {
		return w.store
	}
	return &planted{w.store, w, p, map[processor.TopicPartition]*processor.Batch{}}
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
	case m.generations && r != nil && b.Epoch == s.w.claimed[tp]:
		call.Epoch = r.Epoch
	case m.notIdempotent && again && r != nil && r.Epoch == b.Epoch:
		call.Version = r.Version
	case m.trimEarly:
		call.Published = b.Next.Seq - 1
	case m.split && r != nil:
		s.split(ctx, tp, r, b)
	}
	err := s.Store.Write(ctx, tp, &call)
	if err == nil {
		s.applied[tp] = b
	}
	return err
}

// split writes a part of what a replay writes, and dies.
func (s *planted) split(ctx context.Context, tp processor.TopicPartition, r *processor.Header, b *processor.Batch) {
	k, _ := s.w.log.position(tp)
	if b.Next.Seq >= k.Seq || b.Next.Seq == r.Seq || len(b.States) < 2 || s.w.budget <= 0 || !s.w.d.chance(30) {
		return
	}
	s.w.budget--
	part := *b
	part.States = part.States[:len(part.States)/2]
	if s.Store.Write(ctx, tp, &part) == nil {
		panic(crash{s.p})
	}
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
	if s.w.plant.generations && !out.Header.Wiping {
		s.w.claimed[tp] = int64(1+s.w.gens[tp]) * 1_000_000 // above what new headers have
		out.Header.Epoch = s.w.claimed[tp]
	}
	return out, nil
}

func (s *planted) Fence(ctx context.Context, tp processor.TopicPartition) (epoch, version int64, err error) {
	epoch, version, err = s.Store.Fence(ctx, tp)
	if s.w.plant.generations && s.w.claimed[tp] > 0 {
		epoch = s.w.claimed[tp]
	}
	return epoch, version, err
}

// What a mistake takes for the fence is not what the store holds, so reads go
// without one.

func (s *planted) States(ctx context.Context, tp processor.TopicPartition, _ processor.Fence, users []string) ([][]byte, error) {
	return s.Store.States(ctx, tp, processor.Fence{}, users)
}

func (s *planted) Users(ctx context.Context, tp processor.TopicPartition, _ processor.Fence, slice int) ([]processor.StateWrite, int, error) {
	return s.Store.Users(ctx, tp, processor.Fence{}, slice)
}

func (s *planted) Timers(ctx context.Context, tp processor.TopicPartition, _ processor.Fence, b processor.Bucket, from, n int) ([]processor.TimerEntry, error) {
	return s.Store.Timers(ctx, tp, processor.Fence{}, b, from, n)
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
func (m mistakes) inspected(w *world, tp processor.TopicPartition, in processor.Inspection) processor.Inspection {
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
	r, _ := w.store.Peek(context.Background(), tp)
	if m.offsetAlone && r != nil && r.Offset == k.Offset {
		k.Seq, k.History, k.Last, k.Clock = r.Seq, r.History, r.Last, r.Clock
	}
	in.Metadata = k.Metadata()
	return in
}

var markEpoch = regexp.MustCompile(";e=[0-9]+;")

// bendEvidence changes what is read of the evidence.
func (m mistakes) bendEvidence(rec *processor.EvidenceRecord) {
	if m.noEpochs {
		rec.Mark = markEpoch.ReplaceAll(rec.Mark, []byte(";e=1;"))
	}
	if m.rulesAlone || m.dropKnown {
		rec.Value = bytes.Replace(rec.Value, []byte(`"rule":"`), []byte(`"rule":"not `), 1)
	}
}

// commitsFor says that the owner is not asked for.
func (m mistakes) commitsFor(w *world, pub *processor.Publication) bool {
	return m.anyOwner || m.timersAlone && len(pub.Entries) > 0 && w.log.committed[pub.Input].offset == pub.Commit.Offset
}

// produced drops what is visible already.
func (m mistakes) produced(w *world) {
	if !m.dropKnown {
		return
	}
	name := func(r sinks.Record) string { return r.Topic + field1(string(r.Value), "command_id") }
	known := map[string]bool{}
	for _, r := range w.log.visible {
		known[name(r)] = r.Topic != "dead"
	}
	w.log.drop = func(r sinks.Record) bool { return known[name(r)] }
}

// commit makes a transaction visible.
func (m mistakes) commit(w *world, txn *outTxn, pubs []*processor.Publication, replied bool) {
	before := maps.Clone(w.log.committed)
	w.log.commit(txn, pubs)
	for _, pub := range pubs {
		b, committed := before[pub.Input]
		if m.timersAlone && committed && b.offset == pub.Commit.Offset && len(pub.Entries) > 0 {
			w.log.committed[pub.Input] = b
		}
	}
	if m.repeatUnknown && !replied {
		again := clonePubs(pubs)
		w.log.commit(w.log.produce(again), again)
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
func caught(seed uint64, kind worldKind, plant mistakes) (complaint string) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failure:
			complaint = string(r)
		default:
			panic(r)
		}
	}()
	simulate(recorder{}, seed, kind, plant)
	return ""
}

// Each mistake loses or repeats something within some hundred runs, and the
// simulation says so.
func TestSimulationCatchesNaiveMistakes(t *testing.T) {
	crashes, losses, wall := worldKind{}, worldKind{losses: true}, worldKind{losses: true, wall: true}
	for _, c := range []struct {
		name  string
		plant mistakes
		kind  worldKind
	}{
		{"N1 no fence in the store", mistakes{noFence: true}, crashes},
		{"N2 epochs counted in Redis", mistakes{epochsFromRedis: true}, losses},
		{"N3 generations as epochs", mistakes{generations: true}, losses},
		{"N4 trimmed before the commit", mistakes{trimEarly: true}, crashes},
		{"N5 decided again", mistakes{decideAgain: true}, crashes},
		{"N6 leftovers published", mistakes{leftovers: true}, crashes},
		{"N7 replay by the rules alone", mistakes{rulesAlone: true}, losses},
		{"N8 replay by the rules, known commands dropped", mistakes{dropKnown: true}, wall},
		{"N9 seq without epoch", mistakes{noEpochs: true}, losses},
		{"N10 repeated writes count twice", mistakes{notIdempotent: true}, crashes},
		{"N11 offset without metadata", mistakes{offsetAlone: true}, crashes},
		{"N12 evidence up to the stable offset", mistakes{toStable: true}, losses},
		{"N13 unstable offsets", mistakes{readUnstable: true}, crashes},
		{"N14 unknown outcome taken for failure", mistakes{repeatUnknown: true}, crashes},
		{"N15 committed by whoever comes", mistakes{anyOwner: true}, crashes},
		{"N16 timers without offsets", mistakes{timersAlone: true}, crashes},
		{"N17 a replay's write splits a batch", mistakes{split: true}, losses},
		{"N18 no look at Redis when idle", mistakes{neverLooks: true}, losses},
		{"N19 transactions overlap", mistakes{overlap: true}, crashes},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for seed := uint64(1); seed <= 3000; seed++ {
					if complaint := caught(seed, c.kind, c.plant); complaint != "" {
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
