package load

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/bench/oracle"
	"github.com/nudged/nudged/bench/workload"
)

// ReadCommitted visits every committed record that the topic holds now. It waits
// for transactions that are still open; if ctx ends meanwhile, the error says so.
func ReadCommitted(ctx context.Context, brokers []string, topic string, visit func(*kgo.Record)) error {
	ends, err := EndOffsets(ctx, brokers, topic)
	if err != nil {
		return err
	}
	// What stays are the partitions not yet read to their end.
	maps.DeleteFunc(ends, func(_ int32, end int64) bool { return end == 0 })
	if len(ends) == 0 {
		return nil
	}
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // the last offset may be a commit marker's
	)
	if err != nil {
		return fmt.Errorf("consumer of topic %q: %w", topic, err)
	}
	defer cl.Close()
	for len(ends) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("topic %q: %d partitions not readable to their end, a transaction may still be open: %w", topic, len(ends), ctx.Err())
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("topic %q partition %d: %w", e.Topic, e.Partition, e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end, reading := ends[r.Partition]
			if !reading {
				return
			}
			if r.Offset < end && !r.Attrs.IsControl() {
				visit(r)
			}
			// What lies last before the end may be an aborted record, which is not handed
			// out: its marker, written after the end was asked for, is then what comes.
			if r.Offset >= end-1 {
				delete(ends, r.Partition)
			}
		})
	}
	return nil
}

// Check reads what nudged wrote and holds it against what is owed.
func Check(ctx context.Context, brokers []string, t Topics, owed oracle.Result) (oracle.Verdict, error) {
	c := oracle.NewChecker(owed)
	err := errors.Join(
		ReadCommitted(ctx, brokers, t.Sends, func(r *kgo.Record) { c.Send(r.Key, r.Value) }),
		ReadCommitted(ctx, brokers, t.Decisions, func(r *kgo.Record) { c.Decision(r.Value) }),
		ReadCommitted(ctx, brokers, t.DeadLetters, func(r *kgo.Record) { c.DeadLetter(r.Value) }),
	)
	return c.Verdict(), err
}

// Owed makes the stream of cfg anew and returns what the oracle says of it.
func Owed(cfg workload.Config) (oracle.Result, error) {
	g, err := workload.New(cfg)
	if err != nil {
		return oracle.Result{}, err
	}
	o := oracle.New()
	var ev workload.Event
	for g.Next(&ev) {
		o.Add(oracle.Event{ID: ev.ID, Type: ev.Type, User: ev.User, TimeMS: ev.TimeMS, Partition: ev.Partition})
	}
	return o.Result(), nil
}
