// Package forward reads send commands from Kafka and hands each to a receiver
// until it is taken: at least once, those of one user in their order. A command
// that will not be taken goes to a dead-letter topic.
package forward

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/propagation"

	"github.com/nudged/nudged/sinks"
	sinkkafka "github.com/nudged/nudged/sinks/kafka"
)

// Receiver takes commands.
type Receiver interface {
	// Send returns nil once the command is taken. While ctx lasts, any error says
	// that it will never be.
	Send(ctx context.Context, command sinks.Record) error
}

// Config is what a Forwarder is made of.
type Config struct {
	// Options reach Kafka.
	Options     []kgo.Opt
	Topic       string
	Group       string
	DeadLetters string
	Receiver    Receiver
	// Window is how many commands of a partition may be under way. A command that
	// is not taken holds up those behind it only when the window is full.
	Window int
	Logger *slog.Logger
}

// Counters count what a process has done since it started.
type Counters struct {
	Taken       atomic.Int64
	DeadLetters atomic.Int64
}

// Forwarder is a process's membership in the group.
type Forwarder struct {
	cfg      Config
	Counters Counters
	layout   sinkkafka.Layout
	client   *kgo.Client
	ctx      context.Context // ends when no more commands are to be begun
	stop     context.CancelFunc

	mu    sync.Mutex
	parts map[int32]*partition
	ready bool  // the group has answered, if only that there is nothing for us
	fault error // the latest trouble with Kafka
}

// commitEvery is how often what was taken is committed.
const commitEvery = time.Second

// New returns a Forwarder that has not joined yet. A topic that is missing is an
// error.
func New(ctx context.Context, cfg Config) (*Forwarder, error) {
	f := &Forwarder{cfg: cfg, parts: map[int32]*partition{}}
	f.ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	opts := append([]kgo.Opt{
		kgo.ClientID("nudged-forward"),
		kgo.ConsumerGroup(cfg.Group), kgo.ConsumeTopics(cfg.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // they take up offsets: without them the group would seem to lag
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.OnPartitionsAssigned(f.assigned), kgo.OnPartitionsRevoked(f.revoked), kgo.OnPartitionsLost(f.lost),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.FetchMaxPartitionBytes(512 << 10),
		kgo.MetadataMinAge(50 * time.Millisecond),
	}, cfg.Options...)
	var err error
	if f.client, err = kgo.NewClient(opts...); err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	if err := f.describe(ctx); err != nil {
		f.stop()
		f.client.CloseAllowingRebalance()
		return nil, err
	}
	return f, nil
}

// describe sees that the topics are there.
func (f *Forwarder) describe(ctx context.Context) error {
	topics, err := kadm.NewClient(f.client).Metadata(ctx, f.cfg.Topic, f.cfg.DeadLetters)
	if err != nil {
		return fmt.Errorf("kafka cannot be reached: %w; check kafka.brokers, tls and sasl", err)
	}
	for _, name := range []string{f.cfg.Topic, f.cfg.DeadLetters} {
		if d, ok := topics.Topics[name]; !ok || len(d.Partitions) == 0 {
			return fmt.Errorf("topic %q cannot be used (%w): create it", name, cmp.Or[error](d.Err, kerr.UnknownTopicOrPartition))
		}
	}
	f.layout = sinkkafka.Layout{DeadLetters: f.cfg.DeadLetters, DeadLetterPartitions: int32(len(topics.Topics[f.cfg.DeadLetters].Partitions))}
	return nil
}

// Run forwards until ctx ends. Then requests under way may come to their end,
// what was taken is committed, and the group is left.
func (f *Forwarder) Run(ctx context.Context) error {
	// The group's callbacks and commits outlive ctx.
	outer := context.WithoutCancel(ctx)
	defer context.AfterFunc(ctx, f.stop)()
	defer f.stop()
	var wg sync.WaitGroup
	wg.Go(func() { f.commitLoop(ctx) })
	for ctx.Err() == nil {
		fetches := f.client.PollFetches(ctx)
		if fetches.IsClientClosed() {
			break
		}
		f.heard(fetches)
		fetches.EachPartition(func(p kgo.FetchTopicPartition) { f.dispatch(p.Partition, p.Records) })
		f.client.AllowRebalance()
	}
	wg.Wait()
	f.client.AllowRebalance()
	for _, p := range f.all() {
		p.stop()
	}
	err := f.commit(outer)
	f.client.CloseAllowingRebalance()
	return err
}

// heard notes what the fetches say of Kafka.
func (f *Forwarder) heard(fetches kgo.Fetches) {
	var errs []error
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.Canceled) {
			errs = append(errs, e.Err)
		}
	}
	err := errors.Join(errs...)
	f.mu.Lock()
	first := err != nil && f.fault == nil
	f.fault = err
	f.mu.Unlock()
	if first {
		f.cfg.Logger.Warn("commands cannot be read", "topic", f.cfg.Topic, "error", err.Error())
	}
}

// dispatch hands records to their partition, and holds it up if it is full.
func (f *Forwarder) dispatch(number int32, recs []*kgo.Record) {
	f.mu.Lock()
	p := f.parts[number]
	f.mu.Unlock()
	if p == nil || len(recs) == 0 {
		return
	}
	if p.add(recs) {
		f.client.PauseFetchPartitions(map[string][]int32{f.cfg.Topic: {number}})
		// It may have emptied before it was paused.
		p.paused()
	}
}

func (f *Forwarder) resume(number int32) {
	f.client.ResumeFetchPartitions(map[string][]int32{f.cfg.Topic: {number}})
}

// deliver sees one command to its end: true once it is taken or set aside.
func (f *Forwarder) deliver(ctx context.Context, rec *kgo.Record) bool {
	cmd := sinks.Record{Topic: rec.Topic, Partition: rec.Partition, Key: rec.Key, Value: rec.Value}
	for _, h := range rec.Headers {
		cmd.Headers = append(cmd.Headers, sinks.Header{Key: h.Key, Value: h.Value})
	}
	err := f.cfg.Receiver.Send(ctx, cmd)
	switch {
	case err == nil:
		f.Counters.Taken.Add(1)
		return true
	case ctx.Err() != nil:
		return false
	}
	if !f.setAside(ctx, rec, &cmd, err) {
		return false
	}
	f.Counters.DeadLetters.Add(1)
	f.cfg.Logger.WarnContext(traced(ctx, rec), "a command was not taken and is in the dead-letter topic", "topic", f.cfg.DeadLetters,
		"partition", rec.Partition, "offset", rec.Offset, "reason", err.Error())
	return true
}

// traced is a context within the trace that the command belongs to, so that what
// is logged can be found from there.
func traced(ctx context.Context, rec *kgo.Record) context.Context {
	carrier := propagation.MapCarrier{}
	for _, h := range rec.Headers {
		carrier[h.Key] = string(h.Value)
	}
	return propagation.TraceContext{}.Extract(ctx, carrier)
}

// setAside produces the dead letter, again and again until the broker has it.
func (f *Forwarder) setAside(ctx context.Context, rec *kgo.Record, cmd *sinks.Record, reason error) bool {
	letter := f.layout.DeadLetter(rec.Topic, rec.Partition, rec.Offset, reason.Error(), cmd.Key, cmd.Value, cmd.Headers)
	out := &kgo.Record{Topic: letter.Topic, Partition: letter.Partition, Key: letter.Key, Value: letter.Value}
	for _, h := range letter.Headers {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	wait := backoff.NewExponentialBackOff()
	wait.MaxInterval = 10 * time.Second
	for {
		err := f.client.ProduceSync(ctx, out).FirstErr()
		if err == nil {
			return true
		}
		f.cfg.Logger.Warn("a dead letter cannot be written and is repeated", "topic", out.Topic, "error", err.Error())
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait.NextBackOff()):
		}
	}
}

// commitLoop commits what was taken, until ctx ends.
func (f *Forwarder) commitLoop(ctx context.Context) {
	tick := time.NewTicker(commitEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := f.commit(ctx); err != nil && ctx.Err() == nil {
			// The next one takes it along.
			f.cfg.Logger.Warn("what was taken cannot be committed", "group", f.cfg.Group, "error", err.Error())
		}
	}
}

// commit commits the offsets below which everything is taken.
func (f *Forwarder) commit(ctx context.Context) error {
	return f.commitOf(ctx, f.all())
}

func (f *Forwarder) commitOf(ctx context.Context, parts []*partition) error {
	offsets := map[int32]kgo.EpochOffset{}
	committing := map[*partition]int64{}
	for _, p := range parts {
		if at, ok := p.progress(); ok {
			offsets[p.number] = kgo.EpochOffset{Epoch: -1, Offset: at}
			committing[p] = at
		}
	}
	if len(committing) == 0 {
		return nil
	}
	var failed error
	f.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{f.cfg.Topic: offsets}, onCommit(func(err error) { failed = err }))
	if failed != nil {
		return fmt.Errorf("commit: %w", failed)
	}
	for p, at := range committing {
		p.settled(at)
	}
	return nil
}

func (f *Forwarder) all() []*partition {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]*partition, 0, len(f.parts))
	for _, p := range f.parts {
		out = append(out, p)
	}
	return out
}

func (f *Forwarder) assigned(_ context.Context, _ *kgo.Client, added map[string][]int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ready = true
	for _, number := range added[f.cfg.Topic] {
		f.parts[number] = newPartition(f, number)
	}
}

// revoked ends what is under way for partitions that go to somebody else, so
// that the next owner's commands come behind ours.
func (f *Forwarder) revoked(ctx context.Context, _ *kgo.Client, gone map[string][]int32) {
	parts := f.take(gone)
	if err := f.commitOf(ctx, parts); err != nil {
		f.cfg.Logger.Warn("the next owner will repeat some commands", "group", f.cfg.Group, "error", err.Error())
	}
}

func (f *Forwarder) lost(_ context.Context, _ *kgo.Client, gone map[string][]int32) { f.take(gone) }

func (f *Forwarder) take(gone map[string][]int32) []*partition {
	f.mu.Lock()
	var parts []*partition
	for _, number := range gone[f.cfg.Topic] {
		if p := f.parts[number]; p != nil {
			parts = append(parts, p)
			delete(f.parts, number)
		}
	}
	f.mu.Unlock()
	var wg sync.WaitGroup
	for _, p := range parts {
		wg.Go(p.stop)
		f.resume(p.number) // pauses outlive an assignment
	}
	wg.Wait()
	return parts
}

// Status says whether commands can be read, and how many wait for their receiver
// here.
func (f *Forwarder) Status() (ready bool, trouble string, underWay int) {
	for _, p := range f.all() {
		underWay += p.underWay()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault != nil {
		return false, f.fault.Error(), underWay
	}
	return f.ready, "", underWay
}
