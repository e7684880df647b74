package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/internal/config"
	"github.com/nudged/nudged/internal/doctor"
	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/kafka"
	"github.com/nudged/nudged/processor/redis"
)

// Doctor looks at what a daemon with this configuration would run on, and changes
// nothing.
type Doctor struct {
	Config config.Config
	// ConfigErr is what is wrong with it; only the rules are looked at then.
	ConfigErr error
	// Timeout bounds all of it.
	Timeout time.Duration
	// Now reads the wall clock.
	Now func() time.Time
}

// Run looks and judges. What does not answer in time is in the report.
func (d *Doctor) Run(ctx context.Context) *doctor.Report {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	c := &d.Config
	f := &doctor.Facts{Config: *c, ConfigErr: d.ConfigErr}
	if compiled, err := compileRules(c.Rules); err != nil {
		f.RulesErr = err
	} else {
		f.Set = compiled.Set
		if _, err := decoders(f.Set, c.Input); err != nil && f.ConfigErr == nil {
			f.ConfigErr = err
		}
	}
	if f.ConfigErr == nil {
		f.ConfigErr = d.look(ctx, f)
	}
	f.Now = d.Now()
	return doctor.Diagnose(f)
}

// look gathers the facts. The error is of the configuration.
func (d *Doctor) look(ctx context.Context, f *doctor.Facts) error {
	c := &d.Config
	kcfg, kerr := kafkaConfig(&c.Kafka, slog.New(slog.DiscardHandler))
	client, store, rerr := openStore(c)
	if rerr == nil {
		defer client.Close()
	}
	if err := errors.Join(kerr, rerr); err != nil {
		return err
	}
	cl, err := kgo.NewClient(append(doctor.ClientOptions(), kcfg.Options...)...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer cl.Close()

	// Each for itself: where one is away the other is looked at all the same.
	fromKafka := within(ctx, func() *doctor.KafkaFacts { return doctor.LookAtKafka(ctx, cl, c, kcfg.TransactionalID) })
	fromRedis := within(ctx, func() *doctor.RedisFacts {
		tp := processor.TopicPartition{Topic: c.Kafka.Topics.Events[0]}
		return doctor.LookAtRedis(ctx, client, config.Strings(c.Redis.Addrs), c.Kafka.Group, tp, d.Now)
	})
	late := fmt.Errorf("it has not answered everything within %v (--timeout)", d.Timeout)
	if f.Kafka = fromKafka(); f.Kafka == nil {
		f.Kafka = &doctor.KafkaFacts{Err: late}
	}
	if f.Redis = fromRedis(); f.Redis == nil {
		f.Redis = &doctor.RedisFacts{Err: late}
	}
	if f.Kafka.Err == nil {
		d.lookAtState(ctx, f, cl, &kcfg, store, late)
	}
	return nil
}

// lookAtState looks at what takes both.
func (d *Doctor) lookAtState(ctx context.Context, f *doctor.Facts, cl *kgo.Client, kcfg *kafka.Config, store *redis.Store, late error) {
	var headers doctor.Headers = store
	without := f.Redis.Err
	if without == nil && !slices.ContainsFunc(f.Redis.Nodes, func(n doctor.Node) bool { return n.Err == nil }) {
		without = f.Redis.Nodes[0].Err
	}
	if without != nil {
		headers = nil
	}
	looked := *f.Kafka
	state := within(ctx, func() *doctor.KafkaFacts {
		looked.LookAtState(ctx, cl, kcfg, headers, without)
		return &looked
	})()
	if state == nil {
		f.Kafka.StateErr = late
		return
	}
	f.Kafka = state
}

// within runs look at once; what it returns waits for the outcome, nil if that has
// not come soon after the end of ctx.
func within[T any](ctx context.Context, look func() *T) func() *T {
	done := make(chan *T, 1)
	go func() { done <- look() }()
	return func() *T {
		select {
		case t := <-done:
			return t
		case <-ctx.Done():
		}
		// Whoever heeds ctx has something to tell.
		select {
		case t := <-done:
			return t
		case <-time.After(time.Second):
			return nil
		}
	}
}
