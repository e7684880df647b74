package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/internal/input"
)

// Produce says what to load into which topic.
type Produce struct {
	Options []kgo.Opt // how to reach Kafka
	Topic   string
	// Create makes the topic with so many partitions if it does not exist; 0:
	// a missing topic is an error.
	Create  int
	Files   []string
	Mapping input.Mapping
	Stdin   io.Reader
	// Speed keeps the rhythm of the events' times, so many times faster; 0: as
	// fast as it goes.
	Speed    float64
	Complain func(error)
	OnRead   func(bytes int)
}

// Produced is what was loaded.
type Produced struct {
	Events, BadLines int
}

// Run loads the files, keyed by user, and returns when the broker has all of it.
func (p *Produce) Run(ctx context.Context) (Produced, error) {
	var n Produced
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.ClientID("nudged-produce"),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerLinger(20 * time.Millisecond),
		kgo.MetadataMinAge(50 * time.Millisecond),
	}, p.Options...)...)
	if err != nil {
		return n, fmt.Errorf("kafka client: %w", err)
	}
	defer cl.Close()
	if err := p.prepare(ctx, cl); err != nil {
		return n, err
	}
	var mu sync.Mutex
	var failure error
	failed := func() error {
		mu.Lock()
		defer mu.Unlock()
		return failure
	}
	pace := pacer{speed: p.Speed}
	for rec, err := range input.ReadFiles(p.Files, input.Options{Mapping: p.Mapping, Stdin: p.Stdin, OnRead: p.OnRead}) {
		if err != nil {
			return n, err
		}
		if rec.Err != nil {
			n.BadLines++
			p.Complain(rec.Err)
			continue
		}
		if err := pace.wait(ctx, rec.Time); err != nil {
			return n, err
		}
		if err := failed(); err != nil {
			return n, err
		}
		n.Events++
		cl.Produce(ctx, &kgo.Record{Topic: p.Topic, Key: []byte(rec.User), Value: rec.Value}, func(r *kgo.Record, err error) {
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				failure = errors.Join(failure, fmt.Errorf("produce to %s: %w", r.Topic, err))
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return n, err
	}
	return n, failed()
}

// prepare sees to it that the topic exists.
func (p *Produce) prepare(ctx context.Context, cl *kgo.Client) error {
	adm := kadm.NewClient(cl)
	if p.Create > 0 {
		_, err := adm.CreateTopic(ctx, int32(p.Create), -1, nil, p.Topic)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("create topic %s: %w", p.Topic, err)
		}
		return waitForTopic(ctx, adm, p.Topic)
	}
	topics, err := adm.ListTopics(ctx, p.Topic)
	if err != nil {
		return fmt.Errorf("kafka cannot be reached: %w", err)
	}
	if d, ok := topics[p.Topic]; !ok || d.Err != nil {
		return fmt.Errorf("topic %q does not exist: create it, or let --create N make it with N partitions", p.Topic)
	}
	return nil
}

// waitForTopic waits until the brokers know a topic that was just created: who
// comes next shall find it.
func waitForTopic(ctx context.Context, adm *kadm.Client, topic string) error {
	for {
		topics, err := adm.ListTopics(ctx, topic)
		if err != nil {
			return fmt.Errorf("topic %s: %w", topic, err)
		}
		d, ok := topics[topic]
		if ok && d.Err == nil && len(d.Partitions) > 0 {
			return nil
		}
		if ok && d.Err != nil && !kerr.IsRetriable(d.Err) {
			return fmt.Errorf("topic %s: %w", topic, d.Err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// pacer keeps the rhythm of event times.
type pacer struct {
	speed   float64
	first   int64
	started time.Time
}

func (p *pacer) wait(ctx context.Context, eventTime int64) error {
	if p.speed <= 0 {
		return ctx.Err()
	}
	if p.started.IsZero() {
		p.first, p.started = eventTime, time.Now()
	}
	at := p.started.Add(time.Duration(float64(eventTime-p.first) / p.speed * float64(time.Millisecond)))
	if d := time.Until(at); d > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d):
		}
	}
	return nil
}
