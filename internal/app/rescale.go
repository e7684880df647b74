package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nudged/nudged/internal/config"
	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/kafka"
	"github.com/nudged/nudged/processor/redis"
	"github.com/nudged/nudged/processor/rescale"
)

// Rescale moves users to the partitions where they belong after input topics have got
// more of them.
type Rescale struct {
	Config config.Config
	Logger *slog.Logger
	// DryRun only says what would be done.
	DryRun bool
	// Settle is for how long no producer may have gone by the former number.
	Settle time.Duration
	// Now reads the wall clock, ms.
	Now func() int64
	// Progress hears of what is under way. May be nil.
	Progress func(topic, stage string, done, of int)
}

// Run returns a report for each input topic.
func (r *Rescale) Run(ctx context.Context) ([]*rescale.Report, error) {
	c := &r.Config
	compiled, err := compileRules(c.Rules)
	if err != nil {
		return nil, err
	}
	newDecoder, err := decoders(compiled.Set, c.Input)
	if err != nil {
		return nil, err
	}
	kcfg, err := kafkaConfig(&c.Kafka, r.Logger)
	if err != nil {
		return nil, err
	}
	client, store, err := openStore(c)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if err := redis.CheckPolicy(ctx, client); err != nil {
		return nil, err
	}
	outside, err := kafka.NewOutside(kcfg)
	if err != nil {
		return nil, err
	}
	defer outside.Close()
	m := &mover{Outside: outside, cfg: c, kcfg: kcfg, logger: r.Logger, now: r.Now}
	configs := make([]rescale.Config, len(c.Kafka.Topics.Events))
	plans := make([]*rescale.Report, len(configs))
	needed := false
	for i, topic := range c.Kafka.Topics.Events {
		configs[i] = rescale.Config{
			Topic: topic, Group: c.Kafka.Group, Claimer: randomHex(4), Set: compiled.Set, Store: store, Kafka: m,
			Home: home, Now: r.Now, Settle: r.Settle.Milliseconds(),
		}
		if r.Progress != nil {
			configs[i].Progress = func(stage string, done, of int) { r.Progress(topic, stage, done, of) }
		}
		if plans[i], err = rescale.Plan(ctx, configs[i]); err != nil {
			return nil, err
		}
		needed = needed || plans[i].Needed
		needs := plans[i].MemoryNeeded()
		if spare, limited := redis.Spare(ctx, client); limited && needs > spare {
			return nil, fmt.Errorf("topic %s: Redis needs about %d MB more while users are moved, and has %d MB left below its maxmemory: raise it (CONFIG SET maxmemory), then run nudged rescale again. Nothing was changed", topic, needs>>20, spare>>20)
		}
	}
	if r.DryRun || !needed {
		return plans, nil
	}
	m.settings = func(topology *kafka.Topology, partitions int) processor.Config {
		s := processing(c, topology, partitions)
		s.Set, s.NewDecoder, s.Store, s.Counters = compiled.Set, newDecoder, store, &processor.Counters{}
		s.Logger, s.Now, s.Draining = r.Logger, r.Now, true
		interpose(&s)
		return s
	}
	if err := m.join(ctx); err != nil {
		return nil, err
	}
	defer m.group.Leave()
	for i := range configs {
		if !plans[i].Needed {
			continue
		}
		done, err := rescale.Run(ctx, configs[i])
		if err != nil {
			return nil, err
		}
		plans[i] = done
	}
	return plans, nil
}

// mover is Kafka as the move needs it: the only member of the group.
type mover struct {
	*kafka.Outside
	cfg      *config.Config
	kcfg     kafka.Config
	logger   *slog.Logger
	now      func() int64
	settings func(topology *kafka.Topology, partitions int) processor.Config
	group    *kafka.Group

	mu    sync.Mutex
	owned map[processor.TopicPartition]bool
	// draining is what applies records now, nil if nothing does, and old says which
	// partitions are its.
	draining *processor.Processor
	old      map[processor.TopicPartition]int64
}

// join enters the group once nobody is in it, and waits until it owns everything.
func (m *mover) join(ctx context.Context) error {
	if err := m.alone(ctx); err != nil {
		return err
	}
	topology, err := kafka.Describe(ctx, &m.kcfg)
	if err != nil {
		return err
	}
	m.owned = map[processor.TopicPartition]bool{}
	m.group = kafka.NewGroup(m.kcfg, topology)
	if err := m.group.Join(m); err != nil {
		return err
	}
	all := 0
	for _, topic := range m.kcfg.Events {
		all += int(topology.Partitions(topic))
	}
	err = poll(ctx, time.Minute, func() (bool, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.owned) == all, nil
	})
	if err != nil {
		m.group.Leave()
		return fmt.Errorf("the group %q does not give all partitions to this process: %w. Another process is in it: stop all of them, and run nudged rescale again", m.kcfg.Group, err)
	}
	return nil
}

// alone waits until the group is empty: a process that was killed is missed after its
// session timeout.
func (m *mover) alone(ctx context.Context) error {
	told := false
	var members []string
	err := poll(ctx, m.kcfg.SessionTimeout+5*time.Second, func() (empty bool, err error) {
		if members, err = m.Members(ctx); err != nil || len(members) == 0 {
			return true, err
		}
		if !told {
			told = true
			m.logger.Info("there are processes in the group; one that was killed leaves it after its session timeout", "group", m.kcfg.Group, "members", members)
		}
		return false, nil
	})
	if errors.Is(err, errTooLong) {
		return fmt.Errorf("the group %q has %d members (%s): stop all its processes, and run nudged rescale again", m.kcfg.Group, len(members), strings.Join(members, ", "))
	}
	return err
}

var errTooLong = errors.New("it takes too long")

// poll asks until the answer is yes.
func poll(ctx context.Context, atMost time.Duration, ask func() (bool, error)) error {
	deadline := time.After(atMost)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if yes, err := ask(); yes || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-deadline:
			return errTooLong
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// publishTries is how often positions are committed again that were not.
const publishTries = 20

// Publish implements rescale.Kafka. Positions may be committed again, also where it is
// not known that they were not: nobody else commits any as long as the partitions are
// ours. A broker may refuse a transaction that follows close on another.
func (m *mover) Publish(ctx context.Context, pubs []*processor.Publication) error {
	for tries := 1; ; tries++ {
		err := m.group.Publish(ctx, pubs)
		if !errors.Is(err, processor.ErrNotPublished) || tries == publishTries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Assign implements kafka.Partitions.
func (m *mover) Assign(tps []processor.TopicPartition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, tp := range tps {
		m.owned[tp] = true
	}
	m.assign()
}

// assign gives what is owned and belongs to the former number to what drains.
func (m *mover) assign() {
	if m.draining == nil {
		return
	}
	for tp := range m.old {
		if m.owned[tp] {
			m.draining.Assign([]processor.TopicPartition{tp})
		}
	}
}

// Revoke implements kafka.Partitions.
func (m *mover) Revoke(tps []processor.TopicPartition) {
	m.mu.Lock()
	for _, tp := range tps {
		delete(m.owned, tp)
	}
	pr := m.draining
	m.mu.Unlock()
	if pr != nil {
		pr.Revoke(tps)
	}
}

// Drain implements rescale.Kafka.
func (m *mover) Drain(ctx context.Context, before processor.Counts, targets map[processor.TopicPartition]int64) error {
	asOf := m.kcfg
	asOf.AsOf = map[string]int32{asOf.Sends: before.Sends, asOf.Decisions: before.Decisions}
	for tp := range targets {
		asOf.AsOf[tp.Topic] = before.Input
	}
	topology, err := kafka.Describe(ctx, &asOf)
	if err != nil {
		return err
	}
	source, err := kafka.NewSource(asOf)
	if err != nil {
		return err
	}
	m.group.GoBy(asOf.AsOf)
	settings := m.settings(topology, len(targets))
	settings.Log, settings.Source, settings.Targets = m.group, source, targets
	pr := processor.New(settings)

	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	ended := make(chan error, 1)
	wg.Go(func() { source.Run(ctx, pr) })
	wg.Go(func() { ended <- pr.Run(ctx) })
	m.mu.Lock()
	m.draining, m.old = pr, targets
	m.assign()
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.draining = nil
		m.mu.Unlock()
	}()
	err = drained(ctx, pr, ended)
	if err == nil {
		err = pr.Finish(ctx)
	}
	cancel()
	return err
}

// drained waits until all targets are reached.
func drained(ctx context.Context, pr *processor.Processor, ended <-chan error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			return errors.Join(err, errors.New("it has ended on its own"))
		case <-tick.C:
		}
		status := pr.Status()
		if err := stopped(status); err != nil {
			return err
		}
		if len(status) > 0 && pr.AtTargets() {
			return nil
		}
	}
}
