package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/processor"
)

// Outside looks at the group and its topics without being a member. It changes
// nothing.
type Outside struct {
	cfg Config
	cl  *kgo.Client
}

// NewOutside returns a client that looks on.
func NewOutside(cfg Config) (*Outside, error) {
	cl, err := kgo.NewClient(cfg.common("outside")...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	return &Outside{cfg, cl}, nil
}

// Close closes the client.
func (o *Outside) Close() { o.cl.Close() }

// Inspect returns what Kafka holds of the partitions, as processor.Log.Inspect.
func (o *Outside) Inspect(ctx context.Context, tps []processor.TopicPartition) (map[processor.TopicPartition]processor.Inspection, error) {
	return Inspect(ctx, o.cl, &o.cfg, tps)
}

// Members names the processes in the group, as "client at host".
func (o *Outside) Members(ctx context.Context) ([]string, error) {
	groups, err := kadm.NewClient(o.cl).DescribeGroups(ctx, o.cfg.Group)
	if err == nil {
		err = groups.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("describe the group %q: %w", o.cfg.Group, err)
	}
	var members []string
	for _, m := range groups[o.cfg.Group].Members {
		members = append(members, m.ClientID+" at "+m.ClientHost)
	}
	return members, nil
}

// Scan calls f for the committed records of a partition from one offset up to
// another, in their order. A record is f's until it returns. Values are not kept.
func (o *Outside) Scan(ctx context.Context, tp processor.TopicPartition, from, until int64, f func(*processor.Record) error) error {
	if from >= until {
		return nil
	}
	cl, err := kgo.NewClient(append(o.cfg.common("scan"),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{tp.Topic: {tp.Partition: kgo.NewOffset().At(from)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMaxPartitionBytes(evidenceFetch),
		kgo.FetchMaxWait(fetchWait),
	)...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer cl.Close()
	for {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, context.Canceled) {
				return fmt.Errorf("read %s: %w", tp, e.Err)
			}
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			if r.Offset < until && !r.Attrs.IsControl() {
				if err := f(&processor.Record{Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(), Key: r.Key}); err != nil {
					return err
				}
			}
			if r.Offset >= until-1 {
				return nil
			}
		}
	}
}
