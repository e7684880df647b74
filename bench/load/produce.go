package load

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/bench/workload"
)

// slab is how much memory the values of produced records are cut from at once.
const slab = 1 << 20

// producerOptions are what a shop's producer has by default: keyed by the user
// with Kafka's default partitioner, acks=all, idempotent, no compression (the
// default of the Java producer).
func producerOptions(brokers []string) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(brokers...),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
	}
}

// Produce writes the whole stream of g to the topic and returns how many bytes
// of JSON that was. The topic must be empty: afterwards each partition is
// checked to hold exactly the generator's records for it. Record timestamps are
// the events' times. headers, if not nil, makes the headers of the n-th record.
func Produce(ctx context.Context, brokers []string, topic string, g *workload.Generator, headers func(n int) []kgo.RecordHeader) (int64, error) {
	cl, err := kgo.NewClient(append(producerOptions(brokers), kgo.MaxBufferedRecords(50_000))...)
	if err != nil {
		return 0, fmt.Errorf("producer for topic %q: %w", topic, err)
	}
	defer cl.Close()

	var (
		mu     sync.Mutex
		failed error
		bytes  int64
		buf    []byte
		counts = map[int32]int64{}
		ev     workload.Event
	)
	for n := 0; g.Next(&ev); n++ {
		if cap(buf)-len(buf) < len(ev.Value) {
			buf = make([]byte, 0, slab)
		}
		buf = append(buf, ev.Value...)
		value := buf[len(buf)-len(ev.Value) : len(buf) : len(buf)]
		bytes += int64(len(value))
		counts[ev.Partition]++
		want := ev.Partition
		rec := &kgo.Record{Topic: topic, Key: []byte(ev.User), Value: value, Timestamp: time.UnixMilli(ev.TimeMS)}
		if headers != nil {
			rec.Headers = headers(n)
		}
		cl.Produce(ctx, rec, func(r *kgo.Record, err error) {
			if err == nil && r.Partition != want {
				err = fmt.Errorf("key %q went to partition %d, the workload has it in %d", r.Key, r.Partition, want)
			}
			if err != nil {
				mu.Lock()
				if failed == nil {
					failed = err
				}
				mu.Unlock()
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return 0, fmt.Errorf("produce to topic %q: %w", topic, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if failed != nil {
		return 0, fmt.Errorf("produce to topic %q: %w", topic, failed)
	}
	ends, err := EndOffsets(ctx, brokers, topic)
	if err != nil {
		return 0, err
	}
	for p, end := range ends {
		if end != counts[p] {
			return 0, fmt.Errorf("topic %q partition %d ends at offset %d after %d records were produced: it was not empty, or somebody else writes to it",
				topic, p, end, counts[p])
		}
	}
	return bytes, nil
}

// Paced writes the stream of g to the topic, each record when the wall clock
// reaches its event time, and calls before with it just ahead of handing it to
// the client. No record waits for others to fill a batch.
func Paced(ctx context.Context, brokers []string, topic string, g *workload.Generator, before func(ev *workload.Event, now time.Time)) error {
	cl, err := kgo.NewClient(append(producerOptions(brokers), kgo.ProducerLinger(0))...)
	if err != nil {
		return fmt.Errorf("producer for topic %q: %w", topic, err)
	}
	defer cl.Close()
	failed := make(chan error, 1)
	var ev workload.Event
	for g.Next(&ev) {
		if wait := time.Until(time.UnixMilli(ev.TimeMS)); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return ctx.Err()
			case err := <-failed:
				return fmt.Errorf("produce to topic %q: %w", topic, err)
			}
		}
		now := time.Now()
		before(&ev, now)
		rec := &kgo.Record{Topic: topic, Key: []byte(ev.User), Value: append([]byte(nil), ev.Value...), Timestamp: now}
		cl.Produce(ctx, rec, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return fmt.Errorf("produce to topic %q: %w", topic, err)
	}
	select {
	case err := <-failed:
		return fmt.Errorf("produce to topic %q: %w", topic, err)
	default:
		return nil
	}
}
