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

// joined is a member of the group that owns the partition tp.
type joined struct {
	*kafka.Group
	cluster *kfake.Cluster
	parts   *assigned
}

var tp = processor.TopicPartition{Topic: "events", Partition: 0}

func join(t *testing.T) *joined {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "events", "sends", "decisions", "dead"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
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
	watch, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { g.Watch(watch) })
	t.Cleanup(func() {
		g.Leave()
		stop()
		watching.Wait()
	})
	parts.wait(t, tp)
	return &joined{g, cluster, parts}
}

func (j *joined) publish(ctx context.Context, offset int64) error {
	return j.Publish(ctx, []*processor.Publication{{Input: tp, Commit: processor.Position{Offset: offset}}})
}

// What a broker says of a transaction can make a producer useless for good. The
// process goes on with another one, and does not hold on to its partitions without
// ever publishing again.
func TestProducerThatCannotGoOnIsReplaced(t *testing.T) {
	j := join(t)
	if err := j.publish(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	j.cluster.ControlKey(kmsg.EndTxn.Int16(), endTxn(kerr.InvalidTxnState))
	if err := j.publish(t.Context(), 2); !errors.Is(err, processor.ErrNotPublished) {
		t.Fatalf("the broker refused to commit, the answer is: %v", err)
	}
	j.parts.wait(t, tp)
	if err := j.publish(t.Context(), 3); err != nil {
		t.Fatalf("after that nothing can be published: %v", err)
	}
	committed, err := j.CommittedAll(t.Context())
	if err != nil || committed[tp] != 3 {
		t.Errorf("committed is %v, %v, want 3", committed, err)
	}
}

// A process that is to end does not wait for brokers that do not answer: what has
// become of its transaction is for the next owner to find out.
func TestPublishEndsThoughNoBrokerAnswers(t *testing.T) {
	j := join(t)
	if err := j.publish(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	asked, answer := make(chan struct{}), make(chan struct{})
	j.cluster.ControlKey(kmsg.EndTxn.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(asked)
		<-answer // nothing else is answered meanwhile
		return nil, nil, false
	})
	ctx, cancel := context.WithCancel(t.Context())
	published := make(chan error, 1)
	go func() { published <- j.publish(ctx, 2) }()
	<-asked
	cancel()
	left := make(chan struct{})
	go func() {
		if err := <-published; !errors.Is(err, processor.ErrUnsettled) {
			t.Errorf("nothing was answered, the outcome is said to be: %v", err)
		}
		j.Leave()
		close(left)
	}()
	select {
	case <-left:
	case <-time.After(time.Minute):
		t.Error("the process cannot end before the broker answers")
	}
	close(answer)
	<-left
}

// A coordinator that was asked for a new epoch while the transaction is open calls
// the producer fenced (transaction.version below 2). The process does that to itself
// when it is not told what has become of its commit, and goes on.
func TestFencedBySettling(t *testing.T) {
	j := join(t)
	if err := j.publish(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	j.cluster.ControlKey(kmsg.EndTxn.Int16(), endTxn(kerr.UnknownServerError))
	j.cluster.ControlKey(kmsg.InitProducerID.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
		resp.Version = req.GetVersion()
		resp.ErrorCode = kerr.ProducerFenced.Code
		return resp, nil, true
	})
	if err := j.publish(t.Context(), 2); !errors.Is(err, processor.ErrNotPublished) {
		t.Fatalf("nothing was told of the commit, the outcome is said to be: %v", err)
	}
	j.parts.wait(t, tp)
	if err := j.publish(t.Context(), 3); err != nil {
		t.Fatalf("after that nothing can be published: %v", err)
	}
}

// endTxn answers a request to end a transaction with an error.
func endTxn(told *kerr.Error) func(kmsg.Request) (kmsg.Response, error, bool) {
	return func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.EndTxnResponse)
		resp.Version = req.GetVersion()
		resp.ErrorCode = told.Code
		return resp, nil, true
	}
}

// Who is fenced in the middle of fresh transactions again and again has been so by
// another process. Once it may have been a late request of his own.
func TestFencedByAnother(t *testing.T) {
	j := join(t)
	for n := range int64(3) {
		if err := j.publish(t.Context(), 2*n+1); err != nil {
			t.Fatal(err)
		}
		j.cluster.ControlKey(kmsg.EndTxn.Int16(), endTxn(kerr.ProducerFenced))
		want := processor.ErrNotPublished
		if n == 2 {
			want = processor.ErrProducerFenced
		}
		if err := j.publish(t.Context(), 2*n+2); !errors.Is(err, want) {
			t.Fatalf("fenced the %dth time, the outcome is said to be: %v", n+1, err)
		}
		if n < 2 {
			j.parts.wait(t, tp)
		}
	}
}
