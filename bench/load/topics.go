// Package load brings the workload onto a broker and reads what came of it.
package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Topics are the names of one run's topics.
type Topics struct {
	Events, Sends, Decisions, DeadLetters string
}

// OutputTopics returns names for what nudged writes in the round called tag.
func OutputTopics(tag string) Topics {
	return Topics{
		Sends:       "bench-sends-" + tag,
		Decisions:   "bench-decisions-" + tag,
		DeadLetters: "bench-dead-letters-" + tag,
	}
}

// Outputs lists the topics that nudged writes.
func (t Topics) Outputs() []string { return []string{t.Sends, t.Decisions, t.DeadLetters} }

// Create makes the named topics, each with this many partitions and one replica.
// They keep records for ever: the events are dated months back, and a broker
// would delete them as expired while they are being read.
func Create(ctx context.Context, brokers []string, partitions int, names ...string) error {
	return administer(brokers, func(adm *kadm.Client) error {
		forever := "-1"
		configs := map[string]*string{"retention.ms": &forever, "retention.bytes": &forever}
		res, err := adm.CreateTopics(ctx, int32(partitions), 1, configs, names...)
		if err == nil {
			err = res.Error()
		}
		if err != nil {
			return fmt.Errorf("create topics %q: %w", names, err)
		}
		return known(ctx, adm, names)
	})
}

// known waits until the brokers know the topics: the controller answers first.
func known(ctx context.Context, adm *kadm.Client, names []string) error {
	for {
		listed, err := adm.ListEndOffsets(ctx, names...)
		if err == nil {
			err = listed.Error()
		}
		if err == nil {
			return nil
		}
		if !kerr.IsRetriable(err) {
			return fmt.Errorf("look at the new topics %q: %w", names, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the new topics %q: %w", names, errors.Join(ctx.Err(), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Delete removes the named topics.
func Delete(ctx context.Context, brokers []string, names ...string) error {
	return administer(brokers, func(adm *kadm.Client) error {
		res, err := adm.DeleteTopics(ctx, names...)
		if err == nil {
			err = res.Error()
		}
		if err != nil {
			return fmt.Errorf("delete topics %q: %w", names, err)
		}
		return nil
	})
}

// EndOffsets returns the offset after the last record of each partition.
func EndOffsets(ctx context.Context, brokers []string, topic string) (map[int32]int64, error) {
	ends := map[int32]int64{}
	err := administer(brokers, func(adm *kadm.Client) error {
		listed, err := adm.ListEndOffsets(ctx, topic)
		if err == nil {
			err = listed.Error()
		}
		if err != nil {
			return fmt.Errorf("end offsets of topic %q: %w", topic, err)
		}
		listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
		if len(ends) == 0 {
			return fmt.Errorf("end offsets of topic %q: no partitions listed", topic)
		}
		return nil
	})
	return ends, err
}

func administer(brokers []string, do func(*kadm.Client) error) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return fmt.Errorf("kafka client for %q: %w", brokers, err)
	}
	defer cl.Close()
	return do(kadm.NewClient(cl))
}
