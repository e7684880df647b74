package rescale_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/memory"
	"github.com/nudged/nudged/processor/rescale"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/rulefile"
	"github.com/nudged/nudged/rules/sim"
	"github.com/nudged/nudged/sinks"
)

const (
	group = "shop"
	topic = "clicks"
)

func at(p int32) processor.TopicPartition {
	return processor.TopicPartition{Topic: topic, Partition: p}
}

// world is a topic, a store and what Kafka holds of the group.
type world struct {
	t      *testing.T
	rnd    *rand.Rand
	set    *rules.Set
	store  *memory.Store
	former int32 // partitions that the group went by at first

	mu      sync.Mutex
	log     [][]processor.Record // by partition
	counts  processor.Counts
	k       map[processor.TopicPartition]string // metadata
	sends   map[string]int                      // user, rule, due, fired
	dead    int
	moved   int64 // an offset that somebody has moved, 0: none
	visible []sinks.Record

	// fuse is how many changes are made before the process dies; 0: it does not.
	// late says that it dies after the change that it dies at, not before.
	fuse int
	late bool
	die  context.CancelFunc
}

func newWorld(t *testing.T, seed uint64, ruleFile string, partitions int32) *world {
	t.Helper()
	set, err := rulefile.Load(ruleFile)
	if err != nil {
		t.Fatal(err)
	}
	return &world{
		t: t, rnd: rand.New(rand.NewPCG(seed, 1)), set: set, store: &memory.Store{}, former: partitions,
		log: make([][]processor.Record, partitions), counts: processor.Counts{Input: partitions, Sends: 2, Decisions: 3},
		k: map[processor.TopicPartition]string{}, sends: map[string]int{},
	}
}

func home(user string, n int32) int32 { return sim.PartitionOf(user, int(n)) }

// event is one event, in the order of time.
type event struct {
	user, typ string
	time      int64
}

// produce appends an event as a producer does that knows of so many partitions.
func (w *world) produce(e event, partitions int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := home(e.user, partitions)
	rec := processor.Record{Offset: int64(len(w.log[p])), Timestamp: e.time, Key: []byte(e.user)}
	if e.typ == forget {
		rec.Headers = []sinks.Header{{Key: processor.ForgetHeader}}
	} else {
		rec.Value = fmt.Appendf(nil, "%s %s %d", e.user, e.typ, e.time)
	}
	w.log[p] = append(w.log[p], rec)
}

// grow gives the topic more partitions.
func (w *world) grow(partitions int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for int32(len(w.log)) < partitions {
		w.log = append(w.log, nil)
	}
	w.counts.Input = partitions
}

// textDecoder reads what produce writes.
type textDecoder struct{ fields int }

func (d textDecoder) Decode(ev *rules.Event, value []byte) error {
	part := strings.Split(string(value), " ")
	at, err := strconv.ParseInt(part[2], 10, 64)
	if err != nil {
		return err
	}
	ev.User, ev.Type, ev.Time, ev.Fields = part[0], part[1], at, make([]rules.Value, d.fields)
	ev.ID = string(value)
	return nil
}

// errDead is what everything fails with once the process has died.
var errDead = errors.New("the process is dead")

// change carries out a change, or dies before or after it.
func (w *world) change(f func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.fuse < 0:
		return errDead
	case w.fuse == 1:
		w.fuse = -1
		if w.late {
			_ = f()
		}
		w.die()
		return errDead
	case w.fuse > 1:
		w.fuse--
	}
	return f()
}

// dying is the store, as a process reaches it that may die.
type dying struct {
	*memory.Store
	w *world
}

func (d dying) Claim(ctx context.Context, tp processor.TopicPartition, c processor.Claim) (got *processor.Claimed, err error) {
	err = d.w.change(func() error { got, err = d.Store.Claim(ctx, tp, c); return err })
	return got, err
}

func (d dying) Write(ctx context.Context, tp processor.TopicPartition, b *processor.Batch) error {
	return d.w.change(func() error { return d.Store.Write(ctx, tp, b) })
}

func (d dying) Wipe(ctx context.Context, tp processor.TopicPartition, epoch int64) error {
	return d.w.change(func() error { return d.Store.Wipe(ctx, tp, epoch) })
}

// kafka is the log as a process sees it that goes by numbers of partitions; none: by
// those that the topics have.
type kafka struct {
	w    *world
	asOf *processor.Counts
}

func (k kafka) Inspect(_ context.Context, tps []processor.TopicPartition) (map[processor.TopicPartition]processor.Inspection, error) {
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	counts := k.w.counts
	if k.asOf != nil {
		counts = *k.asOf
	}
	out := map[processor.TopicPartition]processor.Inspection{}
	for _, tp := range tps {
		in := processor.Inspection{
			End: int64(len(k.w.log[tp.Partition])), TopicID: "topic-id.cluster", Counts: counts,
			Evidence: processor.Evidence{SendPartition: tp.Partition % counts.Sends, SendOffset: int64(len(k.w.visible)), DecisionPartition: tp.Partition % counts.Decisions, DecisionOffset: int64(len(k.w.visible))},
		}
		if metadata, ok := k.w.k[tp]; ok {
			position, err := processor.ParsePosition(metadata)
			if err != nil {
				return nil, err
			}
			in.Committed, in.Offset, in.Metadata = true, position.Offset, metadata
			if k.w.moved != 0 {
				in.Offset = k.w.moved
			}
		}
		for _, metadata := range k.w.k {
			if other, err := processor.ParsePosition(metadata); err == nil && other.Counts != counts {
				in.Elsewhere = &other.Counts
			}
		}
		out[tp] = in
	}
	return out, nil
}

func (k kafka) Evidence(context.Context, processor.Evidence, processor.Evidence) (processor.EvidenceReader, error) {
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	return &evidence{visible: slices.Clone(k.w.visible)}, nil
}

// evidence reads all that was ever sent and decided.
type evidence struct {
	visible []sinks.Record
	read    [2]bool
}

func (e *evidence) Next(_ context.Context, send bool) ([]processor.EvidenceRecord, error) {
	side, of := 0, "decisions"
	if send {
		side, of = 1, "sends"
	}
	var out []processor.EvidenceRecord
	for _, r := range e.visible {
		if r.Topic == of {
			out = append(out, processor.EvidenceRecord{Mark: r.Headers[0].Value, Value: r.Value})
		}
	}
	if e.read[side] || len(out) == 0 {
		return nil, processor.ErrEvidenceEnd
	}
	e.read[side] = true
	return out, nil
}
func (e *evidence) Start() processor.Evidence { return processor.Evidence{} }
func (e *evidence) Close()                    {}

func (k kafka) Publish(_ context.Context, pubs []*processor.Publication) error {
	return k.w.change(func() error {
		for _, pub := range pubs {
			k.w.k[pub.Input] = pub.Commit.Metadata()
			err := pub.EachRecord(func(r *sinks.Record) error {
				k.w.visible = append(k.w.visible, *r)
				switch r.Topic {
				case "sends":
					k.w.sends[string(r.Value)]++
				case "dead":
					k.w.dead++
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (k kafka) Scan(_ context.Context, tp processor.TopicPartition, from, until int64, f func(*processor.Record) error) error {
	k.w.mu.Lock()
	recs := k.w.log[tp.Partition]
	k.w.mu.Unlock()
	for _, r := range recs[min(from, int64(len(recs))):min(until, int64(len(recs)))] {
		if err := f(&r); err != nil {
			return err
		}
	}
	return nil
}

func (k kafka) Drain(ctx context.Context, before processor.Counts, targets map[processor.TopicPartition]int64) error {
	return k.w.run(ctx, kafka{k.w, &before}, targets, func(cfg *processor.Config) { cfg.Draining = true })
}

// source delivers what the log holds.
type source struct {
	w    *world
	to   *processor.Processor
	mu   sync.Mutex
	stop map[processor.TopicPartition]chan struct{}
	done map[processor.TopicPartition]chan struct{}
}

func (s *source) Start(tp processor.TopicPartition, offset int64) {
	stop, done := make(chan struct{}), make(chan struct{})
	s.mu.Lock()
	s.stop[tp], s.done[tp] = stop, done
	s.mu.Unlock()
	go func() {
		defer close(done)
		for {
			s.w.mu.Lock()
			recs := s.w.log[tp.Partition]
			end := int64(len(recs))
			recs = slices.Clone(recs[min(offset, end):min(offset+10, end)])
			s.w.mu.Unlock()
			if len(recs) > 0 {
				s.to.Deliver(tp, recs, end)
				offset += int64(len(recs))
				continue
			}
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
}

func (s *source) Stop(tp processor.TopicPartition) {
	s.mu.Lock()
	stop, done := s.stop[tp], s.done[tp]
	s.mu.Unlock()
	close(stop)
	<-done
}

func (s *source) Pause(processor.TopicPartition)  {}
func (s *source) Resume(processor.TopicPartition) {}

func (s *source) Ends(context.Context, []processor.TopicPartition) (map[processor.TopicPartition]int64, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	out := map[processor.TopicPartition]int64{}
	for p := range s.w.log {
		out[at(int32(p))] = int64(len(s.w.log[p]))
	}
	return out, nil
}

type layout struct{ processor.Counts }

func (l layout) Send(input int32, user, value []byte) sinks.Record {
	return sinks.Record{Topic: "sends", Partition: input % l.Sends, Key: user, Value: value}
}

func (l layout) Decision(input int32, user, value []byte) sinks.Record {
	return sinks.Record{Topic: "decisions", Partition: input % l.Decisions, Key: user, Value: value}
}

func (l layout) DeadLetter(string, int32, int64, string, []byte, []byte, []sinks.Header) sinks.Record {
	return sinks.Record{Topic: "dead"}
}
func (l layout) IsSend(r sinks.Record) bool { return r.Topic == "sends" }

// processor makes a processor that goes by what the log says.
func (w *world) processor(log kafka, targets map[processor.TopicPartition]int64, change func(*processor.Config)) (*processor.Processor, int32) {
	counts := w.counts
	if log.asOf != nil {
		counts = *log.asOf
	}
	src := &source{w: w, stop: map[processor.TopicPartition]chan struct{}{}, done: map[processor.TopicPartition]chan struct{}{}}
	cfg := processor.Config{
		Settings: processor.Settings{
			Group: group, Claimer: fmt.Sprintf("%08x", w.rnd.Uint32()), Set: w.set, Store: dying{w.store, w}, Layout: layout{counts},
			NewDecoder: func() processor.Decoder { return textDecoder{len(w.set.Fields)} },
			EventClock: true, MaxEvent: 1 << 20, CacheBytes: 1 << 20, BatchUsers: 7, BatchBytes: 1 << 20, OutboxLimit: 4,
			Counters: &processor.Counters{}, Home: home,
		},
		Log: log, Source: src, Targets: targets, Logger: slog.New(slog.DiscardHandler),
		Now:            func() int64 { return time.Now().UnixMilli() },
		CommitInterval: 20 * time.Millisecond, SendGap: 5 * time.Millisecond, BacklogGap: 20 * time.Millisecond,
		FlushGap: 5 * time.Millisecond, BatchAge: 50 * time.Millisecond, FiresPerBatch: 100,
	}
	if change != nil {
		change(&cfg)
	}
	pr := processor.New(cfg)
	src.to = pr
	return pr, counts.Input
}

// run runs a process up to the targets.
func (w *world) run(ctx context.Context, log kafka, targets map[processor.TopicPartition]int64, change func(*processor.Config)) error {
	pr, n := w.processor(log, targets, change)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- pr.Run(ctx) }()
	for p := range n {
		pr.Assign([]processor.TopicPartition{at(p)})
	}
	for range 2000 {
		time.Sleep(10 * time.Millisecond)
		stopped := stops(pr)
		if len(stopped) > 0 || ctx.Err() != nil {
			cancel()
			return errors.Join(append(stopped, ctx.Err(), <-ended)...)
		}
		if pr.AtTargets() {
			err := pr.Finish(ctx)
			cancel()
			return errors.Join(err, <-ended)
		}
	}
	cancel()
	return fmt.Errorf("the targets are not reached: %w", errors.Join(<-ended, errors.New(fmt.Sprint(pr.Status()))))
}

func stops(pr *processor.Processor) []error {
	var all []error
	for _, s := range pr.Status() {
		if s.Stopped != nil {
			all = append(all, s.Stopped)
		}
	}
	return all
}

// ends are the present ends of the partitions, or a drawn place before them.
func (w *world) ends(part bool) map[processor.TopicPartition]int64 {
	out := map[processor.TopicPartition]int64{}
	for p, recs := range w.log {
		out[at(int32(p))] = int64(len(recs))
		if part && len(recs) > 0 {
			out[at(int32(p))] = int64(w.rnd.IntN(len(recs)))
		}
	}
	return out
}

func (w *world) config() rescale.Config {
	return rescale.Config{
		Topic: topic, Group: group, Claimer: fmt.Sprintf("%08x", w.rnd.Uint32()), Set: w.set, Store: dying{w.store, w},
		Kafka: kafka{w: w}, Home: home, Now: func() int64 { return time.Now().UnixMilli() },
	}
}

// rescale runs the move once; fuse says when it dies.
func (w *world) rescale(fuse int, late bool) (*rescale.Report, error) {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	w.fuse, w.late, w.die = fuse, late, cancel
	report, err := rescale.Run(ctx, w.config())
	died := w.fuse < 0
	w.fuse = 0
	if err != nil && !died {
		w.t.Fatalf("rescale: %v", err)
	}
	return report, err
}
