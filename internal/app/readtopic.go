package app

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// readTopic visits every committed record that the topic holds now, in the order
// of each partition. Records that arrive meanwhile are left out. The record is
// visit's until it returns.
func readTopic(ctx context.Context, opts []kgo.Opt, topic string, visit func(*kgo.Record) error) error {
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.ClientID("nudged-read"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// A partition may end with the marker of a transaction: it shows that the
		// end has been reached.
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(500_000_000),
		kgo.MaxBufferedRecords(100_000),
	}, opts...)...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("kafka cannot be reached: %w", err)
	}
	ends, err := adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("topic %q: %w", topic, err)
	}
	if err := ends.Error(); err != nil {
		return fmt.Errorf("topic %q: %w: is this the right topic and cluster?", topic, err)
	}
	left := map[int32]int64{} // partition -> end
	from := map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		start, _ := starts.Lookup(topic, o.Partition)
		if start.Offset < o.Offset {
			left[o.Partition] = o.Offset
			from[o.Partition] = kgo.NewOffset().At(start.Offset)
		}
	})
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("topic %q partition %d: %w", e.Topic, e.Partition, e.Err)
		}
		var failed error
		fetches.EachRecord(func(r *kgo.Record) {
			end, ok := left[r.Partition]
			if !ok || failed != nil {
				return
			}
			if r.Offset < end && !r.Attrs.IsControl() {
				failed = visit(r)
			}
			if r.Offset >= end-1 {
				delete(left, r.Partition)
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}
