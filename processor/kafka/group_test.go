package kafka_test

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
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

// A member whose transactions with records are refused again and again, for whatever
// reason, becomes another one. That claims, which have none, pass does not keep it.
func TestMemberThatIsRefusedForEverIsReplaced(t *testing.T) {
	j := join(t)
	if err := j.publish(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	member, records, refused := "", false, 0
	j.cluster.ControlKey(kmsg.TxnOffsetCommit.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		j.cluster.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		commit := req.(*kmsg.TxnOffsetCommitRequest)
		if member == "" {
			member = commit.MemberID
		}
		if commit.MemberID != member || !records {
			return nil, nil, false
		}
		refused++
		resp := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
		resp.Version = req.GetVersion()
		for _, t := range commit.Topics {
			told := kmsg.NewTxnOffsetCommitResponseTopic()
			told.Topic = t.Topic
			for _, p := range t.Partitions {
				of := kmsg.NewTxnOffsetCommitResponseTopicPartition()
				of.Partition, of.ErrorCode = p.Partition, kerr.UnknownServerError.Code
				told.Partitions = append(told.Partitions, of)
			}
			resp.Topics = append(resp.Topics, told)
		}
		return resp, nil, true
	})
	with := func(has bool) { mu.Lock(); records = has; mu.Unlock() }
	limit := time.Now().Add(time.Minute)
	for offset := int64(2); ; offset++ {
		with(true)
		err := j.Publish(t.Context(), []*processor.Publication{{Input: tp, Entries: [][]byte{letter()}, Commit: processor.Position{Offset: offset}}})
		if err == nil {
			break
		}
		if !errors.Is(err, processor.ErrNotPublished) || time.Now().After(limit) {
			t.Fatalf("refused %d times: %v", refused, err)
		}
		with(false)
		j.parts.wait(t, tp)
		if err := j.publish(t.Context(), offset); err != nil {
			t.Fatalf("a claim: %v", err)
		}
	}
	if refused < 2 {
		t.Errorf("refused %d times: it was given up at once", refused)
	}
}

// letter is an outbox entry with a dead letter, as processor's outbox.go says it.
func letter() []byte {
	text := func(b []byte, s string) []byte { return append(binary.AppendUvarint(b, uint64(len(s)+1)), s...) }
	rec := append(text([]byte{2}, "dead"), 0)
	rec = append(text(text(rec, "key"), "value"), 0)
	head := append(text(text(nil, "g"), "events"), 0, 1, 1, 0, 1, 0)
	head = append(text(append(text(head, ""), 0), ""), 0)
	block := s2.Encode(nil, rec)
	b := append(binary.AppendUvarint([]byte{2}, uint64(len(head))), head...)
	return append(binary.AppendUvarint(b, uint64(len(block))), block...)
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
