package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/internal/config"
	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/redis"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/sim"
	"github.com/nudged/nudged/sinks"
)

// Forget erases a user: it writes an order into the input, and waits until whoever
// owns the partition has obeyed.
type Forget struct {
	Config config.Config
	User   string
	// Wait is how long it waits for that.
	Wait time.Duration
}

// Forgotten is what came of it.
type Forgotten struct {
	User string `json:"user"`
	// Orders are those that were written, one for each input partition.
	Orders []ForgetOrder `json:"orders"`
	// Tombstones are the other topics, if compacted, that got one.
	Tombstones []string `json:"tombstones,omitempty"`
	// Members is how many processes the group has.
	Members int `json:"members"`
	// Left are the input partitions in which Redis has something of the user now. He
	// has come again, or an order was not obeyed yet.
	Left []string `json:"left,omitempty"`
}

// ForgetOrder is one order and what it erased.
type ForgetOrder struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	// Obeyed says that everything from before the order is gone.
	Obeyed bool `json:"obeyed"`
	// What Redis had just before: bytes of the state, entries of the timer index,
	// records in the outbox.
	State  int `json:"state_bytes"`
	Timers int `json:"timer_entries"`
	Outbox int `json:"outbox_records"`
	// Pending is how many runs were pending, as the owner found when it obeyed.
	Pending int `json:"pending"`

	decisions int32 // partition in which it is told
	seq       int64 // batch that obeyed; 0: not told yet
}

// Done says that every order has been obeyed.
func (f *Forgotten) Done() bool {
	return !slices.ContainsFunc(f.Orders, func(o ForgetOrder) bool { return !o.Obeyed })
}

// forgetRun is one run.
type forgetRun struct {
	*Forget
	cl     *kgo.Client
	adm    *kadm.Client
	store  *redis.Store
	inputs map[string]int32 // topics and their partitions
	counts map[string]int32 // of the other topics
	out    Forgotten
}

// Run erases the user. The error says that it cannot even be ordered, or be told
// whether it was obeyed.
func (f *Forget) Run(ctx context.Context) (*Forgotten, error) {
	opts, err := KafkaOptions(&f.Config.Kafka)
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.ClientID("nudged-forget"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(50 * time.Millisecond),
	}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	defer cl.Close()
	client, store, err := openStore(&f.Config)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	r := &forgetRun{Forget: f, cl: cl, adm: kadm.NewClient(cl), store: store, out: Forgotten{User: f.User}}
	if err := r.describe(ctx); err != nil {
		return nil, err
	}
	// Orders go to where the user belongs and to where Redis has something of him.
	// What is not written yet elsewhere is found once that is obeyed.
	for round := 0; ; round++ {
		orders, err := r.targets(ctx, round == 0)
		if err != nil {
			return nil, err
		}
		if len(orders) == 0 {
			break
		}
		if err := r.order(ctx, orders); err != nil {
			return &r.out, err
		}
		if !r.out.Done() {
			return &r.out, nil
		}
	}
	return &r.out, r.tombstones(ctx)
}

// describe finds out how many partitions the topics have, and who is in the group.
func (r *forgetRun) describe(ctx context.Context) error {
	t := &r.Config.Kafka.Topics
	others := []string{t.Sends, t.Decisions, t.DeadLetters}
	topics, err := r.adm.ListTopics(ctx, append(slices.Clone(others), t.Events...)...)
	if err != nil {
		return fmt.Errorf("kafka cannot be reached: %w", err)
	}
	r.inputs, r.counts = map[string]int32{}, map[string]int32{}
	for name := range topics {
		d := topics[name]
		if d.Err != nil {
			return fmt.Errorf("topic %q cannot be used: %w: name the topics in kafka.topics", name, d.Err)
		}
		n := int32(len(d.Partitions))
		if slices.Contains(t.Events, name) {
			r.inputs[name] = n
		} else {
			r.counts[name] = n
		}
	}
	groups, err := r.adm.DescribeGroups(ctx, r.Config.Kafka.Group)
	if err == nil {
		err = groups.Error()
	}
	if err != nil {
		return fmt.Errorf("ask for the members of group %q: %w", r.Config.Kafka.Group, err)
	}
	r.out.Members = len(groups[r.Config.Kafka.Group].Members)
	return nil
}

// targets lists where orders have to go that have none yet.
func (r *forgetRun) targets(ctx context.Context, first bool) ([]ForgetOrder, error) {
	var orders []ForgetOrder
	r.out.Left = nil
	for _, topic := range r.Config.Kafka.Topics.Events {
		for p := range r.inputs[topic] {
			tp := processor.TopicPartition{Topic: topic, Partition: p}
			found, err := r.store.Find(ctx, tp, r.User)
			if err != nil {
				return nil, err
			}
			ordered := slices.ContainsFunc(r.out.Orders, func(o ForgetOrder) bool { return o.Topic == topic && o.Partition == p })
			home := p == sim.PartitionOf(r.User, int(r.inputs[topic]))
			if !ordered && (found.Any() || first && home) {
				orders = append(orders, ForgetOrder{
					Topic: topic, Partition: p, State: found.State, Timers: found.Timers, Outbox: found.Outbox,
					decisions: p % r.counts[r.Config.Kafka.Topics.Decisions],
				})
			} else if found.Any() {
				r.out.Left = append(r.out.Left, tp.String())
			}
		}
	}
	return orders, nil
}

// order writes the orders and waits until they are obeyed, or for as long as it may.
func (r *forgetRun) order(ctx context.Context, orders []ForgetOrder) error {
	told := r.Config.Kafka.Topics.Decisions
	ends, err := r.adm.ListEndOffsets(ctx, told)
	if err != nil {
		return fmt.Errorf("list end offsets of %s: %w", told, err)
	}
	from := map[int32]kgo.Offset{}
	for i := range orders {
		o := &orders[i]
		rec := &kgo.Record{Topic: o.Topic, Partition: o.Partition, Key: []byte(r.User), Headers: []kgo.RecordHeader{{Key: processor.ForgetHeader}}}
		if err := r.cl.ProduceSync(ctx, rec).FirstErr(); err != nil {
			return fmt.Errorf("write the order into %s/%d: %w", o.Topic, o.Partition, err)
		}
		o.Offset = rec.Offset
		end, ok := ends.Lookup(told, o.decisions)
		if !ok || end.Err != nil {
			return fmt.Errorf("the end of %s/%d is not known: %w", told, o.decisions, end.Err)
		}
		from[o.decisions] = kgo.NewOffset().At(end.Offset)
	}
	n := len(r.out.Orders)
	r.out.Orders = append(r.out.Orders, orders...)
	if r.out.Members == 0 {
		return nil // nobody is there to obey
	}
	waiting, cancel := context.WithTimeout(ctx, r.Wait)
	defer cancel()
	r.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{told: from})
	err = r.obeyed(waiting, r.out.Orders[n:])
	r.cl.PurgeTopicsFromConsuming(told)
	if errors.Is(waiting.Err(), context.DeadlineExceeded) && ctx.Err() == nil {
		return nil // the orders stand, and say that they are not obeyed
	}
	return err
}

// obeyed waits until the decisions tell that the orders have been obeyed, and until
// the outboxes are rid of what was decided before.
func (r *forgetRun) obeyed(ctx context.Context, orders []ForgetOrder) error {
	for slices.ContainsFunc(orders, func(o ForgetOrder) bool { return o.seq == 0 }) {
		fetches := r.cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			if err := r.hear(it.Next(), orders); err != nil {
				return err
			}
		}
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := range orders {
		o := &orders[i]
		for !o.Obeyed {
			h, err := r.store.Peek(ctx, processor.TopicPartition{Topic: o.Topic, Partition: o.Partition})
			if err != nil {
				return err
			}
			if h != nil && h.Offset > o.Offset && (h.Oldest == 0 || h.Oldest > o.seq) {
				o.Obeyed = true
				break
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			}
		}
	}
	return nil
}

// hear looks whether a decision tells of one of the orders.
func (r *forgetRun) hear(rec *kgo.Record, orders []ForgetOrder) error {
	if string(rec.Key) != r.User || rec.Value == nil {
		return nil
	}
	var m sinks.Message
	if err := json.Unmarshal(rec.Value, &m); err != nil {
		return fmt.Errorf("%s/%d/%d is no decision: %w", rec.Topic, rec.Partition, rec.Offset, err)
	}
	if m.Decision != string(rules.Forgotten) {
		return nil
	}
	for i := range orders {
		o := &orders[i]
		if m.Trigger.Topic != o.Topic || m.Trigger.Partition != o.Partition || m.Trigger.Offset != o.Offset {
			continue
		}
		for _, h := range rec.Headers {
			if h.Key != processor.MarkHeader {
				continue
			}
			mark, err := processor.ParseMark(string(h.Value))
			if err != nil {
				return fmt.Errorf("%s/%d/%d: %w", rec.Topic, rec.Partition, rec.Offset, err)
			}
			if mark.Group != r.Config.Kafka.Group {
				return nil // another group obeys, too
			}
			o.seq = mark.Seq
		}
		_ = json.Unmarshal(m.Because["pending"], &o.Pending) // absent: none
	}
	return nil
}

// tombstones lets the other topics drop what they have of the user, where they are
// compacted. In the input topics the orders do that.
func (r *forgetRun) tombstones(ctx context.Context) error {
	t := &r.Config.Kafka.Topics
	settings, err := r.adm.DescribeTopicConfigs(ctx, t.Sends, t.Decisions, t.DeadLetters)
	if err != nil {
		return fmt.Errorf("ask whether topics are compacted: %w", err)
	}
	for _, c := range settings {
		if c.Err != nil {
			return fmt.Errorf("ask whether %s is compacted: %w", c.Name, c.Err)
		}
		compacted := slices.ContainsFunc(c.Configs, func(k kadm.Config) bool {
			return k.Key == "cleanup.policy" && strings.Contains(k.MaybeValue(), "compact")
		})
		if !compacted {
			continue
		}
		written := map[int32]bool{}
		for _, o := range r.out.Orders {
			p := o.Partition % r.counts[c.Name]
			if written[p] {
				continue
			}
			written[p] = true
			rec := &kgo.Record{Topic: c.Name, Partition: p, Key: []byte(r.User)}
			if err := r.cl.ProduceSync(ctx, rec).FirstErr(); err != nil {
				return fmt.Errorf("write a tombstone into %s/%d: %w", c.Name, p, err)
			}
		}
		r.out.Tombstones = append(r.out.Tombstones, c.Name)
	}
	return nil
}
