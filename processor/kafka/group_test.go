package kafka_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/kafka"
)

// assigned tells what the group has given.
type assigned struct {
	mu    sync.Mutex
	owned map[processor.TopicPartition]bool
	given chan struct{} // gets a value with every assignment
}

func (a *assigned) Assign(tps []processor.TopicPartition) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, tp := range tps {
		a.owned[tp] = true
	}
	select {
	case a.given <- struct{}{}:
	default:
	}
}

func (a *assigned) Revoke(tps []processor.TopicPartition) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, tp := range tps {
		delete(a.owned, tp)
	}
}

// wait waits until the partition is owned.
func (a *assigned) wait(t *testing.T, tp processor.TopicPartition) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		a.mu.Lock()
		owned := a.owned[tp]
		a.mu.Unlock()
		if owned {
			return
		}
		select {
		case <-a.given:
		case <-limit:
			t.Fatalf("%s is not assigned", tp)
		}
	}
}

// What a broker says of a transaction can make a producer useless for good. The
// process goes on with another one, and does not hold on to its partitions without
// ever publishing again.
func TestProducerThatCannotGoOnIsReplaced(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "events", "sends", "decisions", "dead"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	cfg := kafka.Config{
		Brokers: cluster.ListenAddrs(), Group: "g", Events: []string{"events"}, Sends: "sends", Decisions: "decisions", DeadLetters: "dead",
		TransactionalID: "t", TransactionTimeout: 10 * time.Second, SessionTimeout: 15 * time.Second, Logger: slog.New(slog.DiscardHandler),
	}
	topology, err := kafka.Describe(t.Context(), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	g := kafka.NewGroup(cfg, topology)
	parts := &assigned{owned: map[processor.TopicPartition]bool{}, given: make(chan struct{}, 1)}
	if err := g.Join(parts); err != nil {
		t.Fatal(err)
	}
	watch, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { g.Watch(watch) })
	defer watching.Wait()
	defer stop()
	defer g.Leave()

	tp := processor.TopicPartition{Topic: "events", Partition: 0}
	publish := func(offset int64) error {
		return g.Publish(t.Context(), []*processor.Publication{{Input: tp, Commit: processor.Position{Offset: offset}}})
	}
	parts.wait(t, tp)
	if err := publish(1); err != nil {
		t.Fatal(err)
	}
	cluster.ControlKey(kmsg.EndTxn.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.EndTxnResponse)
		resp.Version = req.GetVersion()
		resp.ErrorCode = kerr.InvalidTxnState.Code
		return resp, nil, true
	})
	if err := publish(2); !errors.Is(err, processor.ErrNotPublished) {
		t.Fatalf("the broker refused to commit, the answer is: %v", err)
	}
	parts.wait(t, tp)
	if err := publish(3); err != nil {
		t.Fatalf("after that nothing can be published: %v", err)
	}
	committed, err := g.CommittedAll(t.Context())
	if err != nil || committed[tp] != 3 {
		t.Errorf("committed is %v, %v, want 3", committed, err)
	}
}
