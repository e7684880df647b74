package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/sinks"
)

// Receiver takes what the source reads.
type Receiver interface {
	Deliver(tp processor.TopicPartition, recs []processor.Record, end int64)
	// Fault says that a partition cannot be read where it was started.
	Fault(tp processor.TopicPartition, err error)
}

// Source reads the records of partitions from given offsets. It implements
// processor.Source. Only its own goroutine, Run, touches the consumption, so
// that once Stop has returned nothing more of the partition is delivered.
type Source struct {
	cfg  Config
	to   Receiver
	adm  *kgo.Client
	cmds chan func()
	gone chan struct{}

	mu        sync.Mutex
	interrupt context.CancelFunc // of the poll under way
	waiting   int                // calls that wait for the poll to end
	client    *kgo.Client        // nil until the first Start: a client without partitions cannot get any later
}

// fetchPartitionBytes bounds a fetch of one partition. Larger fetches cost
// memory and save nothing.
const fetchPartitionBytes = 512 << 10

// fetchBytes bounds a fetch from one broker.
const fetchBytes = 16 << 20

// fetchWait is how long the broker may hold a fetch that finds nothing. A
// partition that is started or resumed meanwhile is read only after it; what
// comes in for the others ends it at once.
const fetchWait = 250 * time.Millisecond

// NewSource returns a source. Nothing is read before Run.
func NewSource(cfg Config) (*Source, error) {
	adm, err := kgo.NewClient(cfg.common("source-admin")...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	return &Source{cfg: cfg, adm: adm, cmds: make(chan func()), gone: make(chan struct{})}, nil
}

// Run delivers to the receiver until ctx ends, then closes the clients.
func (s *Source) Run(ctx context.Context, to Receiver) {
	s.to = to
	defer close(s.gone)
	defer s.adm.Close()
	defer func() {
		if s.client != nil {
			s.client.Close()
		}
	}()
	for ctx.Err() == nil {
		poll, cancel := context.WithCancel(ctx)
		s.mu.Lock()
		s.interrupt = cancel
		mustWait := s.waiting > 0 || s.client == nil
		s.mu.Unlock()
		if mustWait {
			select {
			case <-ctx.Done():
			case f := <-s.cmds:
				f()
			}
		} else {
			s.pass(s.client.PollFetches(poll))
		}
		cancel()
	}
}

// pass delivers what a poll returned.
func (s *Source) pass(fetches kgo.Fetches) {
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		tp := processor.TopicPartition{Topic: f.Topic, Partition: f.Partition}
		if f.Err != nil {
			if !errors.Is(f.Err, context.Canceled) && tp.Topic != "" {
				s.to.Fault(tp, s.cfg.denied(f.Err, f.Topic, kmsg.ACLOperationRead))
			}
			return
		}
		if len(f.Records) == 0 {
			return
		}
		recs := make([]processor.Record, len(f.Records))
		for i, r := range f.Records {
			recs[i] = processor.Record{
				Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value,
				Control: r.Attrs.IsControl(),
			}
			if len(r.Headers) > 0 {
				recs[i].Headers = make([]sinks.Header, len(r.Headers))
				for j, h := range r.Headers {
					recs[i].Headers[j] = sinks.Header{Key: h.Key, Value: h.Value}
				}
			}
		}
		s.to.Deliver(tp, recs, f.LastStableOffset)
	})
}

// do runs f between two polls.
func (s *Source) do(f func()) {
	done := make(chan struct{})
	s.mu.Lock()
	s.waiting++
	if s.interrupt != nil {
		s.interrupt()
	}
	s.mu.Unlock()
	select {
	case s.cmds <- func() { f(); s.served(); close(done) }:
		<-done
	case <-s.gone:
	}
}

func (s *Source) served() {
	s.mu.Lock()
	s.waiting--
	s.mu.Unlock()
}

// Start implements processor.Source.
func (s *Source) Start(tp processor.TopicPartition, offset int64) {
	s.do(func() {
		at := map[string]map[int32]kgo.Offset{tp.Topic: {tp.Partition: kgo.NewOffset().At(offset)}}
		if s.client != nil {
			// Pauses outlive an assignment.
			s.client.ResumeFetchPartitions(map[string][]int32{tp.Topic: {tp.Partition}})
			s.client.AddConsumePartitions(at)
			return
		}
		opts := append(s.cfg.common("source"),
			kgo.ConsumePartitions(at),
			kgo.ConsumeResetOffset(kgo.NoResetOffset()),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.KeepControlRecords(),
			kgo.FetchMaxPartitionBytes(fetchPartitionBytes),
			kgo.FetchMaxBytes(fetchBytes),
			kgo.FetchMaxWait(fetchWait),
		)
		cl, err := kgo.NewClient(opts...)
		if err != nil {
			s.to.Fault(tp, fmt.Errorf("kafka client: %w", err))
			return
		}
		s.mu.Lock()
		s.client = cl
		s.mu.Unlock()
	})
}

// Stop implements processor.Source.
func (s *Source) Stop(tp processor.TopicPartition) {
	s.do(func() {
		if s.client != nil {
			s.client.RemoveConsumePartitions(map[string][]int32{tp.Topic: {tp.Partition}})
		}
	})
}

// Pause implements processor.Source.
func (s *Source) Pause(tp processor.TopicPartition) {
	if cl := s.consumer(); cl != nil {
		cl.PauseFetchPartitions(map[string][]int32{tp.Topic: {tp.Partition}})
	}
}

// Resume implements processor.Source.
func (s *Source) Resume(tp processor.TopicPartition) {
	if cl := s.consumer(); cl != nil {
		cl.ResumeFetchPartitions(map[string][]int32{tp.Topic: {tp.Partition}})
	}
}

func (s *Source) consumer() *kgo.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

// Ping says whether Kafka answers.
func (s *Source) Ping(ctx context.Context) error { return s.adm.Ping(ctx) }

// Ends implements processor.Source.
func (s *Source) Ends(ctx context.Context, tps []processor.TopicPartition) (map[processor.TopicPartition]int64, error) {
	topics := map[string]bool{}
	for _, tp := range tps {
		topics[tp.Topic] = true
	}
	names := make([]string, 0, len(topics))
	for t := range topics {
		names = append(names, t)
	}
	ends, err := kadm.NewClient(s.adm).ListCommittedOffsets(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list end offsets: %w", err)
	}
	out := make(map[processor.TopicPartition]int64, len(tps))
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err != nil && err == nil {
			err = fmt.Errorf("%s/%d: %w", o.Topic, o.Partition, o.Err)
		}
		out[processor.TopicPartition{Topic: o.Topic, Partition: o.Partition}] = o.Offset
	})
	for _, tp := range tps {
		if _, ok := out[tp]; !ok && err == nil {
			err = fmt.Errorf("%s: the broker did not say its offset", tp)
		}
	}
	return out, err
}
