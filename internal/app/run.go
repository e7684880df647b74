// Package app wires configuration into running processes. It decides nothing
// itself.
package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/nudged/nudged/internal/config"
	"github.com/nudged/nudged/internal/telemetry"
	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/kafka"
	"github.com/nudged/nudged/processor/redis"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/sim"
	"github.com/nudged/nudged/sinks"
	sinkkafka "github.com/nudged/nudged/sinks/kafka"
	"github.com/nudged/nudged/sinks/stdout"
)

// Daemon is a configured process.
type Daemon struct {
	Config config.Config
	Logger *slog.Logger
	// Stdout is where the stdout sink writes.
	Stdout io.Writer
	// Reload asks for the rules to be read again; they are, too, when their files
	// change. May be nil.
	Reload <-chan struct{}
	// Now reads the wall clock; nil: the machine's. The demo runs a faster one.
	Now func() int64
	// Ready, if not nil, is called once with what the process can tell of
	// itself.
	Ready func(*processor.Processor, *processor.Counters)

	telemetry *telemetry.Telemetry
}

// Run runs until ctx ends, then finishes what is under way. With stop_at_end it
// returns when every partition is committed up to the end it had at the start.
func (d *Daemon) Run(ctx context.Context) error {
	told := *d
	flush, err := startTelemetry(ctx, &told.telemetry, &told.Logger)
	if err != nil {
		return err
	}
	defer flush()
	return told.run(ctx)
}

func (d *Daemon) run(ctx context.Context) error {
	c := &d.Config
	compiled, err := compileRules(c.Rules)
	if err != nil {
		return err
	}
	if _, err := decoders(compiled.Set, c.Input); err != nil {
		return err
	}
	kcfg, err := kafkaConfig(&c.Kafka, d.Logger)
	if err != nil {
		return err
	}
	topology, err := kafka.Describe(ctx, &kcfg)
	if err != nil {
		return err
	}
	client, store, err := openStore(c)
	if err != nil {
		return err
	}
	defer client.Close()
	hook, err := d.telemetry.RedisHook()
	if err != nil {
		return err
	}
	client.AddHook(hook)
	if err := redis.CheckPolicy(ctx, client); err != nil {
		return err
	}
	now := d.Now
	if now == nil {
		now = func() int64 { return time.Now().UnixMilli() }
	}
	experiments := d.watching(&kcfg, store, now)
	if compiled, err = experiments.begin(ctx, compiled); err != nil {
		return err
	}
	set := compiled.Set
	newDecoder, err := decoders(set, c.Input)
	if err != nil {
		return err
	}
	source, err := kafka.NewSource(kcfg)
	if err != nil {
		return err
	}
	partitions := 0
	var inputs []processor.TopicPartition
	for _, topic := range c.Kafka.Topics.Events {
		for p := range topology.Partitions(topic) {
			inputs = append(inputs, processor.TopicPartition{Topic: topic, Partition: p})
			partitions++
		}
	}
	var targets map[processor.TopicPartition]int64
	if c.StopAtEnd {
		if targets, err = source.Ends(ctx, inputs); err != nil {
			return err
		}
	}
	group := kafka.NewGroup(kcfg, topology)
	counters := &processor.Counters{}
	observer, err := d.telemetry.NewObserver(telemetry.ObserverConfig{
		Group: c.Kafka.Group, Sends: c.Kafka.Topics.Sends, EventClock: c.Clock == "event", Now: now,
	})
	if err != nil {
		return err
	}
	settings := processing(c, topology, partitions)
	settings.Set, settings.NewDecoder, settings.Store = set, newDecoder, store
	settings.Counters, settings.Observer, settings.Tracing = counters, observer, d.telemetry.Tracing
	settings.Log, settings.Source, settings.Sinks, settings.Logger, settings.Now = group, source, d.sinks(), d.Logger, now
	settings.Targets = targets
	interpose(&settings)
	pr := processor.New(settings)
	mux, err := d.pages(pr, counters, observer, now, store, experiments, &reachable{ask: map[string]func(context.Context) error{
		"Kafka": source.Ping,
		"Redis": func(ctx context.Context) error { return client.Ping(ctx).Err() },
	}})
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	watch := ruleWatch{path: c.Rules, asked: d.Reload, logger: d.Logger, paused: experiments.phases, apply: func(s *rules.Set) error {
		newDecoder, err := decoders(s, c.Input)
		if err == nil {
			pr.SetRules(s, newDecoder)
			experiments.use(s)
		}
		return err
	}}
	var wg sync.WaitGroup
	wg.Go(func() { watch.run(watching, compiled) })
	wg.Go(func() { experiments.run(watching, pr.Status, inputs[0]) })
	defer wg.Wait()
	defer stop()
	return d.serve(ctx, pr, counters, source, group, targets, mux)
}

// processing is what a processor goes by as far as the configuration and the topics
// say it.
func processing(c *config.Config, topology *kafka.Topology, partitions int) processor.Config {
	return processor.Config{
		Settings: processor.Settings{
			Group: c.Kafka.Group, Claimer: randomHex(4), Home: home,
			Layout: sinkkafka.Layout{
				Sends: c.Kafka.Topics.Sends, Decisions: c.Kafka.Topics.Decisions, DeadLetters: c.Kafka.Topics.DeadLetters,
				SendPartitions:       topology.Partitions(c.Kafka.Topics.Sends),
				DecisionPartitions:   topology.Partitions(c.Kafka.Topics.Decisions),
				DeadLetterPartitions: topology.Partitions(c.Kafka.Topics.DeadLetters),
			},
			EventClock: c.Clock == "event",
			MaxAhead:   time.Duration(c.MaxAhead).Milliseconds(),
			MaxEvent:   c.MaxEventBytes,
			Decisions:  decisionLevels[c.Decisions],
			CacheBytes: c.CacheBytes / partitions,
			MaxHints:   share(400_000, partitions, 5_000, 50_000),
			BatchUsers: 20_000, BatchBytes: share(64<<20, partitions, 1<<20, 8<<20), OutboxLimit: 4,
		},
		Answers:        processor.Answers{OnOffsetReset: processor.OffsetReset(c.OnOffsetReset), AcceptStateLoss: c.AcceptStateLoss},
		StartLatest:    c.Kafka.Start == "latest",
		CommitInterval: time.Duration(c.CommitInterval),
		SendGap:        min(20*time.Millisecond, time.Duration(c.CommitInterval)),
		BacklogGap:     max(500*time.Millisecond, time.Duration(c.CommitInterval)),
		FlushGap:       5 * time.Millisecond, BatchAge: 2 * time.Second, FiresPerBatch: 5000,
		InboxBytes: share(56<<20, partitions, 256<<10, 4<<20),
	}
}

// home is the partition that Kafka's default partitioner chooses for a key.
func home(key string, partitions int32) int32 { return sim.PartitionOf(key, int(partitions)) }

// share is a partition's part of what all have together, within bounds.
func share(all, partitions, least, most int) int { return min(max(all/partitions, least), most) }

// pages are what the process answers over HTTP.
func (d *Daemon) pages(pr *processor.Processor, counters *processor.Counters, observer *telemetry.Observer, now func() int64,
	store *redis.Store, experiments *watching, services *reachable,
) (*http.ServeMux, error) {
	c := &d.Config
	pending := &pendingTimers{count: store.CountTimers, status: pr.Status}
	err := d.telemetry.Watch(telemetry.Sources{
		Counters: counters, Status: pr.Status, Now: now, EventClock: c.Clock == "event",
		Experiments: experiments.experiments,
		Pending:     func() map[processor.TopicPartition]int64 { return pending.all(context.Background()) },
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { ready(w, r, pr.Status(), services.check) })
	mux.Handle("GET /metrics", d.telemetry.Handler())
	mux.Handle("GET /{$}", &statusPage{
		group: c.Kafka.Group, rules: pr.RulesVersion, clock: c.Clock, now: now, wall: c.Clock != "event",
		status: pr.Status, counters: counters, pending: pending, recent: observer.Recent,
	})
	return mux, nil
}

var decisionLevels = map[string]processor.DecisionLevel{
	"fires": processor.DecisionsFires, "all": processor.DecisionsAll, "none": processor.DecisionsNone,
}

// stopTimeout is how long a graceful stop may take before it is cut short, which
// loses nothing. With what a transaction and the group may take after that, the
// process ends within 10 s.
const stopTimeout = 5 * time.Second

// serve runs the parts and stops them in order.
func (d *Daemon) serve(ctx context.Context, pr *processor.Processor, counters *processor.Counters,
	source *kafka.Source, group *kafka.Group, targets map[processor.TopicPartition]int64, mux *http.ServeMux,
) error {
	web, err := listen(d.Config.HTTP.Addr, d.Logger, mux)
	if err != nil {
		return err
	}
	defer web.close()
	// The parts outlive ctx: they are stopped in order once it ends.
	parts, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { source.Run(parts, pr) })
	if err := group.Join(pr); err != nil {
		return err
	}
	defer group.Leave()
	wg.Go(func() { group.Watch(parts) })
	ended := make(chan error, 1)
	wg.Go(func() { ended <- pr.Run(parts) })
	if d.Ready != nil {
		d.Ready(pr, counters)
	}
	done := make(chan error, 1)
	if targets != nil {
		wg.Go(func() { done <- waitCommitted(parts, group, pr, targets) })
	}
	select {
	case err := <-ended:
		return err
	case err := <-done:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		d.Logger.Info("stopping")
	}
	finish, stop := context.WithTimeout(parts, stopTimeout)
	defer stop()
	if err := pr.Finish(finish); err != nil {
		d.Logger.Warn("the stop was cut short; the next start goes on from there", "error", err.Error())
	}
	cancel()
	err = <-ended
	d.Logger.Info("stopped", "events", counters.Events.Load(), "decisions", counters.Decisions.Load(), "sent", counters.Sent.Load(),
		"dead_letters", counters.DeadLetters.Load(), "batches", counters.Batches.Load(), "states_written", counters.Written.Load(),
		"states_loaded", counters.Loaded.Load(), "replayed", counters.Replayed.Load(), "untold", counters.Untold.Load(), "transactions", counters.Transactions.Load(), "aborted", counters.Aborted.Load())
	return err
}

// stopped is why partitions have stopped, nil if none has.
func stopped(status []processor.Status) error {
	var all []error
	for _, s := range status {
		if s.Stopped != nil {
			all = append(all, s.Stopped)
		}
	}
	return errors.Join(all...)
}

// assignmentGrace is how long a process that is given no partition waits before
// it concludes that others own them all.
const assignmentGrace = 10 * time.Second

// waitCommitted returns once the group has committed every partition up to its
// target, whichever process owns it, or once a partition has stopped.
func waitCommitted(ctx context.Context, group *kafka.Group, pr *processor.Processor, targets map[processor.TopicPartition]int64) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	// Other processes may own everything; before it is known what is ours, what
	// has stopped is not known either.
	idle := time.After(assignmentGrace)
	assigned := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-idle:
			assigned = true
		case <-tick.C:
		}
		status := pr.Status()
		assigned = assigned || len(status) > 0
		if err := stopped(status); err != nil {
			return err
		}
		if !assigned || !pr.AtTargets() {
			continue // ours first: asking costs the broker something
		}
		committed, err := group.CommittedAll(ctx)
		if err != nil {
			continue // asked again
		}
		reached := true
		for tp, target := range targets {
			// A partition without records is never committed beyond its claim.
			at, ok := committed[tp]
			reached = reached && ok && at >= target
		}
		if reached {
			return nil
		}
	}
}

func (d *Daemon) sinks() []sinks.Sink {
	var out []sinks.Sink
	for _, s := range d.Config.Sinks {
		if s.Stdout != nil {
			out = append(out, stdout.New(d.Stdout))
		}
	}
	return out
}

func kafkaConfig(k *config.Kafka, logger *slog.Logger) (kafka.Config, error) {
	opts, err := KafkaOptions(k)
	if err != nil {
		return kafka.Config{}, err
	}
	opts = append(opts, interposeKafka()...)
	id := k.TransactionalID
	if id == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "host"
		}
		id = fmt.Sprintf("%s-%s-%s", k.Group, host, randomHex(6))
	}
	return kafka.Config{
		Brokers: config.Strings(k.Brokers), Group: k.Group, Events: k.Topics.Events,
		Sends: k.Topics.Sends, Decisions: k.Topics.Decisions, DeadLetters: k.Topics.DeadLetters,
		TransactionalID: id, TransactionTimeout: time.Duration(k.TransactionTimeout), SessionTimeout: time.Duration(k.SessionTimeout),
		Options: opts, Logger: logger,
	}, nil
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b)
	return hex.EncodeToString(b)
}
