package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/internal/config"
	"github.com/nudged/nudged/internal/story"
	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/redis"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/sim"
	"github.com/nudged/nudged/sinks"
)

// Explain says what is known of a user and what was decided of one, from Redis
// and the decisions topic. It changes nothing in either.
type Explain struct {
	Config config.Config
	User   string
	// Rule leaves other rules out, if it is not empty.
	Rule string
	// At asks what was the case at that time, ms; 0: now.
	At int64
	// Now reads the wall clock, ms.
	Now func() int64
	// OnTotal is told how many records of the decisions topic there are to look
	// through, OnRead how many were. They may be nil.
	OnTotal func(int64)
	OnRead  func(int)
}

// Run gathers the account.
func (e *Explain) Run(ctx context.Context) (*story.Account, error) {
	c := &e.Config
	text, err := compileRules(c.Rules)
	if err != nil {
		return nil, err
	}
	cl, err := e.client()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	topics, err := adm.ListTopics(ctx, append([]string{c.Kafka.Topics.Decisions}, c.Kafka.Topics.Events...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka cannot be reached: %w", err)
	}
	count := func(topic string) (int32, error) {
		d, ok := topics[topic]
		if !ok || d.Err != nil {
			return 0, fmt.Errorf("topic %q does not exist: name the topics in kafka.topics", topic)
		}
		return int32(len(d.Partitions)), nil
	}
	decisionPartitions, err := count(c.Kafka.Topics.Decisions)
	if err != nil {
		return nil, err
	}
	client, store, err := openStore(&e.Config)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	set, err := pausedRules(ctx, text, store)
	if err != nil {
		return nil, err
	}

	var states []stored
	latest := int64(0)
	ask := map[int32]bool{} // decision partitions
	for _, topic := range c.Kafka.Topics.Events {
		n, err := count(topic)
		if err != nil {
			return nil, err
		}
		s, err := e.stored(ctx, store, set, processor.TopicPartition{Topic: topic, Partition: sim.PartitionOf(e.User, int(n))})
		if err != nil {
			return nil, err
		}
		latest = max(latest, s.clock)
		states = append(states, s)
		ask[s.tp.Partition%decisionPartitions] = true
		moved, err := e.moved(ctx, adm, s.tp)
		if err != nil {
			return nil, err
		}
		for p := int32(0); moved && p < decisionPartitions; p++ {
			ask[p] = true
		}
	}
	asOf := e.At
	switch {
	case asOf != 0:
	case c.Clock == "event" && latest != 0:
		asOf = latest // the events' own time, not ours
	default:
		asOf = e.Now()
	}
	a := story.NewAccount(e.User, asOf)
	for _, s := range states {
		known := s.set.Tell(&s.state, e.User, asOf)
		a.Know(s.tp.Topic, s.tp.Partition, s.known, &known, e.Rule)
	}
	decisions, err := e.decisions(ctx, cl, adm, ask)
	if err != nil {
		return nil, err
	}
	a.Decide(decisions)
	if e.At != 0 {
		a.Since()
	}
	return a, nil
}

func (e *Explain) client() (*kgo.Client, error) {
	opts, err := KafkaOptions(&e.Config.Kafka)
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.ClientID("nudged-explain"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
	}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	return cl, nil
}

// stored is what Redis holds of the user in one partition.
type stored struct {
	tp    processor.TopicPartition
	clock int64 // of the partition
	known bool
	state rules.State
	set   *rules.Set // with the names that were in force when the state was written
}

func (e *Explain) stored(ctx context.Context, store *redis.Store, set *rules.Set, tp processor.TopicPartition) (stored, error) {
	s := stored{tp: tp, set: set}
	h, err := store.Peek(ctx, tp)
	if err != nil || h == nil {
		return s, err
	}
	s.clock = h.Clock
	blobs, err := store.States(ctx, tp, processor.Fence{}, []string{e.User})
	if err != nil || blobs[0] == nil {
		return s, err
	}
	names, err := store.Names(ctx, tp)
	if err != nil {
		return s, err
	}
	old := make(map[rules.ID]string, len(names))
	for id, name := range names {
		old[rules.ID(id)] = name
	}
	s.known, s.set = true, set.WithNames(old)
	if err := s.state.Decode(blobs[0]); err != nil {
		return s, fmt.Errorf("%s, user %q: %w", tp, e.User, err)
	}
	return s, nil
}

// moved says that users have been moved to the partition from others, or may have
// been: where that cannot be seen. Then what was decided of the user before lies in
// another partition of the decisions topic, any one if its number has changed, too.
func (e *Explain) moved(ctx context.Context, adm *kadm.Client, tp processor.TopicPartition) (bool, error) {
	offsets, err := adm.FetchOffsetsForTopics(ctx, e.Config.Kafka.Group, tp.Topic)
	if errors.Is(err, kerr.GroupAuthorizationFailed) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("fetch the offsets of group %q: %w", e.Config.Kafka.Group, err)
	}
	o, ok := offsets.Lookup(tp.Topic, tp.Partition)
	if !ok || o.At < 0 {
		return false, nil
	}
	k, err := processor.ParsePosition(o.Metadata)
	return err != nil || len(k.Recounts) > 0, nil
}

// decided is a decision, and where and when it was written.
type decided struct {
	sinks.Message
	partition int32
	offset    int64
	written   time.Time
}

// before says that one decision was written before the other.
func (d *decided) before(of *decided) bool {
	if d.partition == of.partition {
		return d.offset < of.offset
	}
	return d.written.Before(of.written)
}

// known leaves out what was decided before the user was forgotten.
func known(list, orders []decided) []sinks.Message {
	var out []sinks.Message
	for i := range list {
		d := &list[i]
		if !slices.ContainsFunc(orders, func(o decided) bool { return o.Trigger.Topic == d.Trigger.Topic && d.before(&o) }) {
			out = append(out, d.Message)
		}
	}
	return out
}

// decisions looks the user's partitions of the decisions topic through.
func (e *Explain) decisions(ctx context.Context, cl *kgo.Client, adm *kadm.Client, partitions map[int32]bool) ([]sinks.Message, error) {
	topic := e.Config.Kafka.Topics.Decisions
	starts, err1 := adm.ListStartOffsets(ctx, topic)
	ends, err2 := adm.ListCommittedOffsets(ctx, topic)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("list offsets of %s: %w", topic, err)
	}
	at, until, total := map[int32]kgo.Offset{}, map[int32]int64{}, int64(0)
	for p := range partitions {
		start, ok1 := starts.Lookup(topic, p)
		end, ok2 := ends.Lookup(topic, p)
		err := errors.Join(start.Err, end.Err)
		if err == nil && !(ok1 && ok2) {
			err = errors.New("the broker did not say its offsets")
		}
		if err != nil {
			return nil, fmt.Errorf("%s/%d: %w", topic, p, err)
		}
		if start.Offset < end.Offset {
			at[p], until[p] = kgo.NewOffset().At(start.Offset), end.Offset
			total += end.Offset - start.Offset
		}
	}
	if e.OnTotal != nil {
		e.OnTotal(total)
	}
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: at})
	var list, orders []decided
	for len(until) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for _, f := range fetches.Errors() {
			return nil, fmt.Errorf("read %s/%d: %w", f.Topic, f.Partition, f.Err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			end, reading := until[r.Partition]
			if !reading || r.Offset >= end {
				delete(until, r.Partition)
				continue
			}
			if e.OnRead != nil {
				e.OnRead(1)
			}
			if r.Offset == end-1 {
				delete(until, r.Partition)
			}
			// A tombstone tells nothing.
			if r.Attrs.IsControl() || string(r.Key) != e.User || r.Value == nil {
				continue
			}
			d := decided{partition: r.Partition, offset: r.Offset, written: r.Timestamp}
			if err := json.Unmarshal(r.Value, &d.Message); err != nil {
				return nil, fmt.Errorf("%s/%d/%d is no decision: %w", topic, r.Partition, r.Offset, err)
			}
			switch {
			case d.Decision == string(rules.Forgotten):
				orders = append(orders, d)
			case e.Rule == "" || d.Rule == e.Rule:
				list = append(list, d)
			}
		}
	}
	return known(list, orders), nil
}
