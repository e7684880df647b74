package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/plugin/kslog"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/sinks"
)

// Partitions hears of what the group gives and takes.
type Partitions interface {
	Assign([]processor.TopicPartition)
	// Revoke returns once nothing of the partitions runs any more.
	Revoke([]processor.TopicPartition)
}

// Group is this process's membership in the consumer group and its one
// transactional producer. It implements processor.Log.
type Group struct {
	cfg      Config
	topology *Topology
	parts    Partitions
	joined   chan struct{} // closed once there is a session

	mu sync.Mutex
	// session is replaced when its producer cannot be used any more.
	session *kgo.GroupTransactSession
	owned   map[processor.TopicPartition]bool
	// revoked: the session would abort the next transaction because of a
	// revocation that its partitions have nothing to do with.
	revoked bool

	fences  []time.Time // when the producer was fenced for no reason of ours; Publish's
	refused refusals    // Publish's
	said    kept        // by the session's client
}

// NewGroup returns the membership of a process, not joined yet.
func NewGroup(cfg Config, topology *Topology) *Group {
	return &Group{cfg: cfg, topology: topology, owned: map[processor.TopicPartition]bool{}, joined: make(chan struct{})}
}

// GoBy has the group go by other numbers of partitions than topics have, by topic.
// No Inspect is under way meanwhile.
func (g *Group) GoBy(counts map[string]int32) { g.cfg.AsOf = counts }

// Join enters the group. Assignments go to parts from now on.
func (g *Group) Join(parts Partitions) error {
	g.parts = parts
	if err := g.join(); err != nil {
		return err
	}
	close(g.joined)
	if err := g.cfg.checkTransactions(context.Background(), g.cl()); err != nil {
		g.Leave()
		return err
	}
	return nil
}

// join makes a session, which enters the group.
func (g *Group) join() error {
	cfg := &g.cfg
	opts := append(cfg.common("group"),
		kgo.WithLogger(kslog.New(slog.New(told{cfg.Logger.Handler(), &g.said}))),
		kgo.ConsumerGroup(cfg.Group),
		kgo.ConsumeTopics(cfg.Events...),
		kgo.Balancers(&watchedBalancer{kgo.CooperativeStickyBalancer(), g.keepOnly}),
		kgo.SessionTimeout(cfg.SessionTimeout),
		kgo.HeartbeatInterval(min(cfg.SessionTimeout/4, 3*time.Second)),
		kgo.OnPartitionsAssigned(g.onAssigned),
		kgo.OnPartitionsRevoked(g.onRevoked),
		kgo.OnPartitionsLost(g.onRevoked),
		kgo.TransactionalID(cfg.TransactionalID),
		kgo.TransactionTimeout(cfg.TransactionTimeout),
		kgo.RecordDeliveryTimeout(cfg.TransactionTimeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedRecords(1<<20),
		// Records are produced in one go and flushed: waiting makes few, large
		// requests of them.
		kgo.ProducerLinger(5*time.Millisecond),
	)
	session, err := kgo.NewGroupTransactSession(opts...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	session.Client().PauseFetchTopics(cfg.Events...)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.session = session
	return nil
}

// now returns the session in force. Callbacks may come before Join has returned.
func (g *Group) now() *kgo.GroupTransactSession {
	<-g.joined
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.session
}

// cl returns the group's client.
func (g *Group) cl() *kgo.Client { return g.now().Client() }

// renew leaves the group and enters it anew, with another producer of the same
// transactional id: its first request settles what the former one has left behind.
// Nothing of any partition runs when it returns, until it is assigned again.
func (g *Group) renew(cause error) error {
	g.cfg.Logger.Warn("the producer cannot be used any more: the group is left and entered anew", "error", cause.Error())
	g.refused = refusals{}
	g.Leave()
	g.keepOnly(nil) // whatever the session has told on its way out
	return g.join()
}

// Watch reports errors of the membership until ctx ends. Records never come
// this way.
func (g *Group) Watch(ctx context.Context) {
	for ctx.Err() == nil {
		session := g.now()
		fetches := session.PollFetches(ctx)
		if fetches.IsClientClosed() {
			if !g.replaced(ctx, session) {
				return
			}
			continue
		}
		for _, e := range fetches.Errors() {
			if ctx.Err() == nil && !errors.Is(e.Err, context.Canceled) {
				g.cfg.Logger.Warn("consumer group", "group", g.cfg.Group, "error", g.cfg.denied(e.Err, e.Topic, kmsg.ACLOperationRead).Error())
			}
		}
	}
}

// replaced waits until another session is in force; false if ctx ends before.
func (g *Group) replaced(ctx context.Context, former *kgo.GroupTransactSession) bool {
	for g.now() == former {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(50 * time.Millisecond):
		}
	}
	return true
}

// Leave leaves the group and closes the clients. A coordinator that does not
// answer finds out by the session timeout.
func (g *Group) Leave() {
	session := g.now()
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	_ = session.Client().LeaveGroupContext(ctx) // the client's log tells
	session.Close()
}

const (
	// leaveTimeout is how long the group's coordinator may take to let a member go.
	leaveTimeout = time.Second
	// publishGrace is how long a transaction may go on once the context it was
	// begun under has ended.
	publishGrace = time.Second
)

func flatten(m map[string][]int32) []processor.TopicPartition {
	var out []processor.TopicPartition
	for t, ps := range m {
		for _, p := range ps {
			out = append(out, processor.TopicPartition{Topic: t, Partition: p})
		}
	}
	return out
}

func (g *Group) onAssigned(_ context.Context, _ *kgo.Client, added map[string][]int32) {
	tps := flatten(added)
	g.mu.Lock()
	for _, tp := range tps {
		g.owned[tp] = true
	}
	g.mu.Unlock()
	g.parts.Assign(tps)
}

func (g *Group) onRevoked(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	g.drop(flatten(lost))
	g.mu.Lock()
	g.revoked = true
	g.mu.Unlock()
}

// keepOnly drops every partition that is not among those given.
func (g *Group) keepOnly(kept map[string][]int32) {
	g.mu.Lock()
	var gone []processor.TopicPartition
	for tp := range g.owned {
		if !slices.Contains(kept[tp.Topic], tp.Partition) {
			gone = append(gone, tp)
		}
	}
	g.mu.Unlock()
	g.drop(gone)
}

func (g *Group) drop(tps []processor.TopicPartition) {
	if len(tps) == 0 {
		return
	}
	g.mu.Lock()
	for _, tp := range tps {
		delete(g.owned, tp)
	}
	g.mu.Unlock()
	g.parts.Revoke(tps)
}

// Publish implements processor.Log.
func (g *Group) Publish(ctx context.Context, pubs []*processor.Publication) error {
	// Cancelling a request of a transaction midway leaves its outcome unknown: it is
	// done only when the process is to end and the brokers do not answer.
	ctx, done := outlive(ctx, publishGrace)
	defer done()
	session := g.now()
	g.forgetRevocation(ctx, session)
	began := time.Now()
	if err := session.Begin(); err != nil {
		return g.settle(ctx, began, fmt.Errorf("begin transaction: %w", err))
	}
	produced, err := g.produce(ctx, session, pubs)
	if err != nil {
		_, aerr := session.End(ctx, kgo.TryAbort)
		return g.settle(ctx, began, errors.Join(err, aerr))
	}
	committed, err := session.End(kgo.PreTxnCommitFnContext(ctx, func(req *kmsg.TxnOffsetCommitRequest) error {
		return g.commitTo(req, pubs)
	}), kgo.TryCommit)
	switch {
	case err != nil:
		return g.settle(ctx, began, fmt.Errorf("commit transaction: %w", err))
	case !committed:
		err := g.settle(ctx, began, errRefused)
		if produced && errors.Is(err, processor.ErrNotPublished) && g.refused.more(time.Now()) {
			err = g.giveUp(err)
		}
		return err
	}
	if produced {
		g.refused = refusals{}
	}
	return nil
}

// giveUp takes a new producer and a new membership after too many refusals.
func (g *Group) giveUp(cause error) error {
	g.cfg.Logger.Error("transactions are refused again and again", "times", g.refused.n, "client", g.said.text())
	if err := g.renew(cause); err != nil {
		return err
	}
	return cause
}

// outlive returns a context that ends the given time after ctx does.
func outlive(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(by, cancel) })
	return longer, func() { stop(); cancel() }
}

// forgetRevocation ends an empty transaction, which makes the session forget a
// revocation that is over. Nothing is sent.
func (g *Group) forgetRevocation(ctx context.Context, session *kgo.GroupTransactSession) {
	g.mu.Lock()
	revoked := g.revoked
	g.revoked = false
	g.mu.Unlock()
	if revoked && session.Begin() == nil {
		if _, err := session.End(ctx, kgo.TryAbort); err != nil {
			g.cfg.Logger.Warn("end an empty transaction", "error", err.Error())
		}
	}
}

// produce sends the records, if there are any, and waits until the broker has them.
func (g *Group) produce(ctx context.Context, session *kgo.GroupTransactSession, pubs []*processor.Publication) (produced bool, err error) {
	var mu sync.Mutex
	var failure error
	for _, pub := range pubs {
		err := pub.EachRecord(func(r *sinks.Record) error {
			produced = true
			session.Produce(ctx, toKafka(r), func(done *kgo.Record, err error) {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					if failure == nil {
						failure = fmt.Errorf("produce to %s/%d: %w", done.Topic, done.Partition, g.cfg.denied(err, done.Topic, kmsg.ACLOperationWrite))
					}
				case done.Topic == g.cfg.Sends:
					pub.AckedSend = max(pub.AckedSend, done.Offset+1)
				case done.Topic == g.cfg.Decisions:
					pub.AckedDecision = max(pub.AckedDecision, done.Offset+1)
				}
			})
			return nil
		})
		if err != nil {
			return produced, err
		}
	}
	if !produced {
		return false, nil
	}
	if err := session.Client().Flush(ctx); err != nil {
		return true, err
	}
	mu.Lock()
	defer mu.Unlock()
	return true, failure
}

func toKafka(r *sinks.Record) *kgo.Record {
	k := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value}
	if len(r.Headers) > 0 {
		k.Headers = make([]kgo.RecordHeader, len(r.Headers))
		for i, h := range r.Headers {
			k.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
		}
	}
	return k
}

// commitTo replaces what the session would commit by our positions. The request
// already holds the member's generation: a partition that is revoked from here
// on is committed under the generation of before, or refused.
func (g *Group) commitTo(req *kmsg.TxnOffsetCommitRequest, pubs []*processor.Publication) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	req.Topics = req.Topics[:0]
	byTopic := map[string]int{}
	for _, pub := range pubs {
		if !g.owned[pub.Input] {
			return fmt.Errorf("%w: %s", processor.ErrNotOwner, pub.Input)
		}
		i, ok := byTopic[pub.Input.Topic]
		if !ok {
			i = len(req.Topics)
			byTopic[pub.Input.Topic] = i
			t := kmsg.NewTxnOffsetCommitRequestTopic()
			t.Topic = pub.Input.Topic
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		p.Partition = pub.Input.Partition
		p.Offset = pub.Commit.Offset
		p.LeaderEpoch = -1
		metadata := pub.Commit.Metadata()
		p.Metadata = &metadata
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
	return nil
}
