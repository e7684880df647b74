package load

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Sender produces records one by one, none of which waits for others. It is safe
// for use by several goroutines.
type Sender struct {
	client *kgo.Client
	topic  string

	mu     sync.Mutex
	failed error
}

// NewSender returns a sender to the topic.
func NewSender(brokers []string, topic string) (*Sender, error) {
	cl, err := kgo.NewClient(append(producerOptions(brokers), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(50_000))...)
	if err != nil {
		return nil, fmt.Errorf("producer for topic %q: %w", topic, err)
	}
	return &Sender{client: cl, topic: topic}, nil
}

// Send hands a record over. It waits while too many are under way; what fails is
// told by Flush.
func (s *Sender) Send(ctx context.Context, key, value []byte) {
	s.client.Produce(ctx, &kgo.Record{Topic: s.topic, Key: key, Value: value}, func(_ *kgo.Record, err error) {
		if err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.failed == nil {
				s.failed = err
			}
		}
	})
}

// Flush waits until the broker has everything, and returns the first failure of
// all records so far.
func (s *Sender) Flush(ctx context.Context) error {
	err := s.client.Flush(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		err = s.failed
	}
	if err != nil {
		return fmt.Errorf("produce to topic %q: %w", s.topic, err)
	}
	return nil
}

// Close closes the client.
func (s *Sender) Close() { s.client.Close() }

// Committed returns the offsets that the group has committed, by partition: none
// while its coordinator is not there yet.
func Committed(ctx context.Context, brokers []string, group, topic string) (map[int32]int64, error) {
	at := map[int32]int64{}
	err := administer(brokers, func(adm *kadm.Client) error {
		offsets, err := adm.FetchOffsets(ctx, group)
		if kerr.IsRetriable(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("committed offsets of group %q: %w", group, err)
		}
		for p, o := range offsets[topic] {
			if o.Err == nil {
				at[p] = o.At
			}
		}
		return nil
	})
	return at, err
}
