package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/internal/guard"
	"github.com/nudged/nudged/sinks"
)

// decisionTopic is the decisions topic for who watches experiments.
type decisionTopic struct {
	name string
	// transactionalID is that of whoever announces: one for all processes, so that
	// the next one ends what the one before has begun.
	transactionalID string
	timeout         time.Duration // of a transaction
	options         []kgo.Opt
}

var _ guard.Topic = (*decisionTopic)(nil)

func (t *decisionTopic) client(more ...kgo.Opt) (*kgo.Client, error) {
	cl, err := kgo.NewClient(append(append([]kgo.Opt{kgo.ClientID("nudged-experiments")}, t.options...), more...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	return cl, nil
}

// Extents implements guard.Topic.
func (t *decisionTopic) Extents(ctx context.Context, committed bool) (guard.Extents, error) {
	cl, err := t.client()
	if err != nil {
		return guard.Extents{}, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	list := adm.ListEndOffsets
	if committed {
		list = adm.ListCommittedOffsets
	}
	// Ends first: what is not there any more by then was below them.
	ends, err1 := list(ctx, t.name)
	starts, err2 := adm.ListStartOffsets(ctx, t.name)
	m, err3 := adm.Metadata(ctx, t.name)
	if err := errors.Join(err1, err2, err3); err != nil {
		return guard.Extents{}, fmt.Errorf("topic %q: %w", t.name, err)
	}
	if err := errors.Join(ends.Error(), starts.Error(), m.Topics[t.name].Err); err != nil {
		return guard.Extents{}, fmt.Errorf("topic %q: %w", t.name, err)
	}
	x := guard.Extents{ID: m.Topics[t.name].ID.String(), Starts: map[int32]int64{}, Ends: map[int32]int64{}}
	starts.Each(func(o kadm.ListedOffset) { x.Starts[o.Partition] = o.Offset })
	ends.Each(func(o kadm.ListedOffset) {
		if _, there := x.Starts[o.Partition]; there {
			x.Ends[o.Partition] = o.Offset
		}
	})
	return x, nil
}

// Read implements guard.Topic.
func (t *decisionTopic) Read(from map[int32]int64) (guard.Reader, error) {
	at := make(map[int32]kgo.Offset, len(from))
	for p, o := range from {
		at[p] = kgo.NewOffset().At(o)
	}
	cl, err := t.client(
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// A partition may end with the mark of a transaction: it shows that the end
		// has been reached.
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.MaxBufferedRecords(20_000),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{t.name: at}),
	)
	if err != nil {
		return nil, err
	}
	return &decisionReader{cl: cl}, nil
}

type decisionReader struct {
	cl   *kgo.Client
	recs []guard.Record
}

// Next implements guard.Reader.
func (r *decisionReader) Next(ctx context.Context) ([]guard.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	fetches := r.cl.PollFetches(ctx)
	var failed error
	fetches.EachError(func(topic string, p int32, err error) {
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			failed = fmt.Errorf("read %s/%d: %w", topic, p, err)
		}
	})
	r.recs = r.recs[:0]
	fetches.EachRecord(func(k *kgo.Record) {
		r.recs = append(r.recs, guard.Record{Partition: k.Partition, Offset: k.Offset, Value: k.Value, Control: k.Attrs.IsControl()})
	})
	return r.recs, failed
}

// Close implements guard.Reader.
func (r *decisionReader) Close() { r.cl.Close() }

// Announcer implements guard.Topic.
func (t *decisionTopic) Announcer(ctx context.Context) (guard.Announcer, error) {
	cl, err := t.client(
		kgo.TransactionalID(t.transactionalID),
		kgo.TransactionTimeout(t.timeout),
		kgo.RecordDeliveryTimeout(t.timeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	)
	if err != nil {
		return nil, err
	}
	// This ends what is under way of whoever had the id before.
	if _, _, err := cl.ProducerID(ctx); err != nil {
		cl.Close()
		return nil, fmt.Errorf("take on the transactional id %s: %w", t.transactionalID, err)
	}
	return &decisionAnnouncer{cl, t.name}, nil
}

type decisionAnnouncer struct {
	cl    *kgo.Client
	topic string
}

// Announce implements guard.Announcer. The messages concern no user: they have no
// key and go to the first partition.
func (a *decisionAnnouncer) Announce(ctx context.Context, messages [][]byte) error {
	if err := a.cl.BeginTransaction(); err != nil {
		return err
	}
	var recs []*kgo.Record
	for _, m := range messages {
		recs = append(recs, &kgo.Record{
			Topic: a.topic, Partition: 0, Value: m,
			Headers: []kgo.RecordHeader{{Key: sinks.ContentTypeHeader, Value: []byte(sinks.ContentType)}},
		})
	}
	if err := a.cl.ProduceSync(ctx, recs...).FirstErr(); err != nil {
		return errors.Join(err, a.cl.EndTransaction(context.WithoutCancel(ctx), kgo.TryAbort))
	}
	return a.cl.EndTransaction(context.WithoutCancel(ctx), kgo.TryCommit)
}

// Close implements guard.Announcer.
func (a *decisionAnnouncer) Close() { a.cl.Close() }
