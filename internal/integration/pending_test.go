package integration

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/kafka"
)

// fetched closes its channel once the broker has answered what a group has
// committed.
type fetched struct {
	once sync.Once
	done chan struct{}
}

// OnBrokerRead implements kgo.HookBrokerRead.
func (f *fetched) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == (&kmsg.OffsetFetchRequest{}).Key() {
		f.once.Do(func() { close(f.done) })
	}
}

// The very first offset that a group commits for a partition is waited for as well
// while its transaction is pending: a claim that took it for none would find a
// state in Redis that Kafka does not know of, and stop.
func TestFirstCommitIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, nil)
	id := w.group + "-test"
	begin := kmsg.NewPtrInitProducerIDRequest()
	begin.TransactionalID, begin.TransactionTimeoutMillis, begin.ProducerID, begin.ProducerEpoch = &id, 60_000, -1, -1
	producer, err := begin.RequestWith(t.Context(), w.kafka)
	if err == nil {
		err = kerr.ErrorForCode(producer.ErrorCode)
	}
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = id, producer.ProducerID, producer.ProducerEpoch, w.group
	added, err := add.RequestWith(t.Context(), w.kafka)
	if err == nil {
		err = kerr.ErrorForCode(added.ErrorCode)
	}
	if err != nil {
		t.Fatalf("add the group: %v", err)
	}
	metadata := "n1;"
	offset := kmsg.NewPtrTxnOffsetCommitRequest()
	offset.TransactionalID, offset.Group, offset.ProducerID, offset.ProducerEpoch, offset.Generation = id, w.group, producer.ProducerID, producer.ProducerEpoch, -1
	offset.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: w.events, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Partition: 1, Offset: 7, LeaderEpoch: -1, Metadata: &metadata}}}}
	sent, err := offset.RequestWith(t.Context(), w.kafka)
	if err == nil {
		err = kerr.ErrorForCode(sent.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		t.Fatalf("commit in the transaction: %v", err)
	}

	hook := &fetched{done: make(chan struct{})}
	asking := kafkaClient(t, w.brokers, kgo.WithHooks(hook))
	type answer struct {
		found map[processor.TopicPartition]processor.Inspection
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		found, err := kafka.Inspect(t.Context(), asking, &kafka.Config{
			Brokers: []string{w.brokers}, Group: w.group, Events: []string{w.events}, Sends: w.sends, Decisions: w.decisions, DeadLetters: w.dead,
			Logger: slog.New(slog.DiscardHandler),
		}, []processor.TopicPartition{{Topic: w.events, Partition: 0}, {Topic: w.events, Partition: 1}})
		answered <- answer{found, err}
	}()
	select {
	case <-hook.done:
	case <-time.After(patience):
		t.Fatal("the offsets are not asked for")
	}
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = id, producer.ProducerID, producer.ProducerEpoch, true
	ended, err := end.RequestWith(t.Context(), w.kafka)
	if err == nil {
		err = kerr.ErrorForCode(ended.ErrorCode)
	}
	if err != nil {
		t.Fatalf("end: %v", err)
	}
	select {
	case a := <-answered:
		if a.err != nil {
			t.Fatal(a.err)
		}
		at := a.found[processor.TopicPartition{Topic: w.events, Partition: 1}]
		if !at.Committed || at.Offset != 7 || at.Metadata != "n1;" {
			t.Errorf("what was pending is found as %+v", at)
		}
		if other := a.found[processor.TopicPartition{Topic: w.events, Partition: 0}]; other.Committed {
			t.Errorf("what was never committed is found as %+v", other)
		}
	case <-time.After(patience):
		t.Fatal("the offset is not found")
	}
}
