package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/kafka"
)

// Headers reads what Redis holds of a partition.
type Headers interface {
	Peek(ctx context.Context, tp processor.TopicPartition) (*processor.Header, error)
}

// Inputs are the partitions of the input topics, as far as Kafka tells them.
func (f *KafkaFacts) Inputs(events []string) []processor.TopicPartition {
	var tps []processor.TopicPartition
	for _, topic := range events {
		for p := range f.Topics[topic].Partitions {
			tps = append(tps, processor.TopicPartition{Topic: topic, Partition: int32(p)})
		}
	}
	return tps
}

// LookAtState reads what Kafka and Redis hold of each input partition. Where store
// is nil, without is why. A group that is at work meanwhile moves on: so Kafka's
// position is read first, Redis' after it, and the ends of the log last.
func (f *KafkaFacts) LookAtState(ctx context.Context, cl *kgo.Client, c *kafka.Config, store Headers, without error) {
	for _, topic := range append(slices.Clone(c.Events), c.Sends, c.Decisions) {
		if err := f.Topics[topic].Err; err != nil {
			f.StateErr = fmt.Errorf("topic %q cannot be used", topic)
			return
		}
	}
	if !f.Group.Asked {
		f.StateErr = errors.New("no group has ever committed an offset on this Kafka: it has no topic " + offsetsTopic + " yet")
		return
	}
	if f.Group.Err != nil {
		f.StateErr = fmt.Errorf("the group cannot be read: %w", f.Group.Err)
		return
	}
	tps := f.Inputs(c.Events)
	for try := range 2 {
		if f.look(ctx, cl, c, tps, store, without); f.StateErr != nil {
			return
		}
		// A claim may have come between the looks: what looks like a stop is looked
		// at again.
		if try == 0 && !slices.ContainsFunc(f.Partitions, func(p Partition) bool { _, err := p.outlook(c.Group); return err != nil }) {
			break
		}
	}
	f.lookForOthers(ctx, cl, c)
}

func (f *KafkaFacts) look(ctx context.Context, cl *kgo.Client, c *kafka.Config, tps []processor.TopicPartition, store Headers, without error) {
	f.Partitions = nil
	found, err := kafka.Inspect(ctx, cl, c, tps)
	if err != nil {
		f.StateErr = err
		return
	}
	for _, tp := range tps {
		p := Partition{Input: tp, Kafka: found[tp], Err: without}
		if store != nil {
			p.Header, p.Err = store.Peek(ctx, tp)
		}
		f.Partitions = append(f.Partitions, p)
	}
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, c.Events...)
	if err != nil {
		f.StateErr = fmt.Errorf("list end offsets: %w", err)
		return
	}
	for i := range f.Partitions {
		p := &f.Partitions[i]
		if o, ok := ends.Lookup(p.Input.Topic, p.Input.Partition); ok && o.Err == nil {
			p.Kafka.End = max(p.Kafka.End, o.Offset)
		}
	}
}

// outlook is where a claim would find the partition.
func (p *Partition) outlook(group string) (processor.Outlook, error) {
	return processor.Foresee(group, p.Input, p.Kafka, p.Header, func() ([]string, error) { return p.Others, nil })
}

// evidenceTail is how many of the newest records of a send or decision partition
// are looked through for groups that have decided from the input.
const evidenceTail = 500

// lookForOthers reads the ends of the send and decision partitions of those inputs
// of which neither Kafka nor Redis knows anything. A claim reads all of them.
func (f *KafkaFacts) lookForOthers(ctx context.Context, cl *kgo.Client, c *kafka.Config) {
	var unknown []*Partition
	from, until := map[string]map[int32]kgo.Offset{c.Sends: {}, c.Decisions: {}}, map[string]map[int32]int64{c.Sends: {}, c.Decisions: {}}
	for i := range f.Partitions {
		p := &f.Partitions[i]
		if p.Kafka.Committed || p.Header != nil || p.Err != nil {
			continue
		}
		unknown = append(unknown, p)
		e := &p.Kafka.Evidence
		for _, side := range []struct {
			topic     string
			partition int32
			end       int64
		}{{c.Sends, e.SendPartition, e.SendOffset}, {c.Decisions, e.DecisionPartition, e.DecisionOffset}} {
			if side.end > 0 {
				from[side.topic][side.partition] = kgo.NewOffset().At(max(0, side.end-evidenceTail))
				until[side.topic][side.partition] = side.end
			}
		}
	}
	if len(until[c.Sends])+len(until[c.Decisions]) == 0 {
		return
	}
	groups, err := tail(ctx, c, from, until)
	for _, p := range unknown {
		p.Others, p.OthersErr = groups[p.Input], err
	}
}

// tail reads records from offsets to offsets and says which groups have decided
// them from which input.
func tail(ctx context.Context, c *kafka.Config, from map[string]map[int32]kgo.Offset, until map[string]map[int32]int64) (map[processor.TopicPartition][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*oneAnswer)
	defer cancel()
	cl, err := kgo.NewClient(append(ClientOptions(), append(slices.Clone(c.Options),
		kgo.ConsumePartitions(from), kgo.FetchMaxWait(250*time.Millisecond), kgo.KeepControlRecords())...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	defer cl.Close()
	groups := map[processor.TopicPartition][]string{}
	for len(until[c.Sends])+len(until[c.Decisions]) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return groups, fmt.Errorf("read the send and decision topics: %w", err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			if r.Offset >= until[r.Topic][r.Partition]-1 {
				delete(until[r.Topic], r.Partition)
			}
			for _, h := range r.Headers {
				if h.Key != processor.MarkHeader {
					continue
				}
				if m, err := processor.ParseMark(string(h.Value)); err == nil && !slices.Contains(groups[m.Input], m.Group) {
					groups[m.Input] = append(groups[m.Input], m.Group)
				}
			}
		}
	}
	return groups, nil
}
