package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/nudged/nudged/processor"
)

// Inspect implements processor.Log.
func (g *Group) Inspect(ctx context.Context, tps []processor.TopicPartition) (map[processor.TopicPartition]processor.Inspection, error) {
	return Inspect(ctx, g.cl(), &g.cfg, tps)
}

// Inspect is Group.Inspect by any client: it joins no group and changes nothing.
func Inspect(ctx context.Context, cl *kgo.Client, c *Config, tps []processor.TopicPartition) (map[processor.TopicPartition]processor.Inspection, error) {
	adm := kadm.NewClient(cl)
	// The topics are read anew: they may have been created anew.
	topology, err := describe(ctx, cl, c)
	if err != nil {
		return nil, err
	}
	committed, err := fetchStable(ctx, cl, c.Group, tps)
	if err != nil {
		return nil, err
	}
	all, err := adm.FetchOffsets(ctx, c.Group)
	if err != nil {
		return nil, fmt.Errorf("fetch the committed offsets of group %q: %w", c.Group, err)
	}
	starts, err := adm.ListStartOffsets(ctx, c.Events...)
	if err != nil {
		return nil, fmt.Errorf("list start offsets: %w", err)
	}
	ends, err := adm.ListCommittedOffsets(ctx, c.Events...)
	if err != nil {
		return nil, fmt.Errorf("list end offsets: %w", err)
	}
	evidence, err := adm.ListEndOffsets(ctx, c.Sends, c.Decisions)
	if err != nil {
		return nil, fmt.Errorf("list end offsets: %w", err)
	}
	out := make(map[processor.TopicPartition]processor.Inspection, len(tps))
	for _, tp := range tps {
		in := processor.Inspection{
			TopicID: topology.inputID(tp.Topic),
			Counts: processor.Counts{
				Input: topology.counts[tp.Topic],
				Sends: topology.counts[c.Sends], Decisions: topology.counts[c.Decisions],
			},
		}
		if o, ok := committed[tp]; ok {
			in.Committed, in.Offset = true, o.Offset
			if o.Metadata != nil {
				in.Metadata = *o.Metadata
			}
		}
		in.Elsewhere = elsewhere(all, tp.Topic, in.Counts)
		if in.Start, err = listed(starts, tp.Topic, tp.Partition); err != nil {
			return nil, err
		}
		if in.End, err = listed(ends, tp.Topic, tp.Partition); err != nil {
			return nil, err
		}
		e := &in.Evidence
		e.SendPartition, e.DecisionPartition = tp.Partition%in.Counts.Sends, tp.Partition%in.Counts.Decisions
		if e.SendOffset, err = listed(evidence, c.Sends, e.SendPartition); err != nil {
			return nil, err
		}
		if e.DecisionOffset, err = listed(evidence, c.Decisions, e.DecisionPartition); err != nil {
			return nil, err
		}
		out[tp] = in
	}
	return out, nil
}

// elsewhere returns the numbers of partitions under which some partition of the topic
// was processed, if they are not counts.
func elsewhere(committed kadm.OffsetResponses, topic string, counts processor.Counts) *processor.Counts {
	for _, o := range committed[topic] {
		if k, err := processor.ParsePosition(o.Metadata); err == nil && k.Counts != counts {
			return &k.Counts
		}
	}
	return nil
}

func listed(l kadm.ListedOffsets, topic string, partition int32) (int64, error) {
	o, ok := l.Lookup(topic, partition)
	if !ok {
		return 0, fmt.Errorf("%s/%d: the broker did not say its offset", topic, partition)
	}
	if o.Err != nil {
		return 0, fmt.Errorf("%s/%d: %w", topic, partition, o.Err)
	}
	return o.Offset, nil
}

// fetchStable reads committed offsets, again until no transaction of an earlier
// owner is pending on any of them. It names the partitions: asked for all that a
// group has, Kafka leaves out one whose first commit is still pending, and does not
// say so.
func fetchStable(ctx context.Context, cl *kgo.Client, group string, tps []processor.TopicPartition) (map[processor.TopicPartition]kmsg.OffsetFetchResponseTopicPartition, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.RequireStable = group, true
	byTopic := map[string]int{}
	for _, tp := range tps {
		i, ok := byTopic[tp.Topic]
		if !ok {
			i = len(req.Topics)
			byTopic[tp.Topic] = i
			t := kmsg.NewOffsetFetchRequestTopic()
			t.Topic = tp.Topic
			req.Topics = append(req.Topics, t)
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, tp.Partition)
	}
	for {
		got, err := committedOffsets(ctx, cl, req)
		switch {
		case err == nil:
			return got, nil
		case !errors.Is(err, kerr.UnstableOffsetCommit):
			return nil, fmt.Errorf("fetch the committed offsets of group %q: %w", group, err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// committedOffsets asks once. Partitions without an offset are left out.
func committedOffsets(ctx context.Context, cl *kgo.Client, req *kmsg.OffsetFetchRequest) (map[processor.TopicPartition]kmsg.OffsetFetchResponseTopicPartition, error) {
	resp, err := req.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return nil, err
	}
	got := map[processor.TopicPartition]kmsg.OffsetFetchResponseTopicPartition{}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("%s/%d: %w", t.Topic, p.Partition, err)
			}
			if p.Offset >= 0 {
				got[processor.TopicPartition{Topic: t.Topic, Partition: p.Partition}] = p
			}
		}
	}
	return got, nil
}

// CommittedAll returns the committed offset of every partition of the input
// topics that has one.
func (g *Group) CommittedAll(ctx context.Context) (map[processor.TopicPartition]int64, error) {
	got, err := kadm.NewClient(g.cl()).FetchOffsets(ctx, g.cfg.Group)
	if err != nil {
		return nil, fmt.Errorf("fetch the committed offsets of group %q: %w", g.cfg.Group, err)
	}
	out := map[processor.TopicPartition]int64{}
	got.Each(func(o kadm.OffsetResponse) {
		if o.Err == nil && o.At >= 0 {
			out[processor.TopicPartition{Topic: o.Topic, Partition: o.Partition}] = o.At
		}
	})
	return out, nil
}
