package integration

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// tail reads a topic from its beginning as a consumer of committed records does.
type tail struct {
	t     *testing.T
	topic string
	cl    *kgo.Client

	records  []*kgo.Record
	position map[int32]int64 // offset after the last record or marker seen
}

func (w *world) tail(topic string) *tail {
	w.t.Helper()
	cl := kafkaClient(w.t, w.brokers, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	return &tail{t: w.t, topic: topic, cl: cl, position: map[int32]int64{}}
}

// until reads on until enough holds.
func (tl *tail) until(what string, enough func() bool) {
	tl.t.Helper()
	ctx, cancel := context.WithTimeout(tl.t.Context(), patience)
	defer cancel()
	for !enough() {
		fetches := tl.cl.PollFetches(ctx)
		if ctx.Err() != nil {
			tl.t.Fatalf("after %s topic %s still lacks %s; it holds %d records", patience, tl.topic, what, len(tl.records))
		}
		for _, e := range fetches.Errors() {
			tl.t.Fatalf("read %s/%d: %v", e.Topic, e.Partition, e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			tl.position[r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				tl.records = append(tl.records, r)
			}
		})
	}
}

// untilCount reads until so many records are visible.
func (tl *tail) untilCount(n int) {
	tl.t.Helper()
	tl.until("records", func() bool { return len(tl.records) >= n })
}

// committed returns all that the topic holds now, once it is settled which of it
// is committed: what a killed process left open is aborted by the broker.
func (w *world) committed(topic string) []*kgo.Record {
	w.t.Helper()
	ends, err := w.adm.ListEndOffsets(w.t.Context(), topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		w.t.Fatalf("list the ends of %s: %v", topic, err)
	}
	tl := w.tail(topic)
	tl.until("a decision on open transactions", func() bool {
		for p, end := range ends[topic] {
			if tl.position[p] < end.Offset {
				return false
			}
		}
		return true
	})
	return tl.records
}

// untilConsumed waits until the group has committed all that the input topic
// holds.
func (w *world) untilConsumed() {
	w.t.Helper()
	w.t.Cleanup(func() {
		if w.t.Failed() {
			at, err := w.adm.FetchOffsets(context.Background(), w.group)
			w.t.Logf("committed: %v %v", at, err)
		}
	})
	eventually(w.t, "all of the input is committed", w.consumed)
}

// consumed says whether the group has committed all that the input topic holds.
func (w *world) consumed() bool {
	w.t.Helper()
	ends, err := w.adm.ListEndOffsets(w.t.Context(), w.events)
	if err != nil {
		w.t.Fatalf("list the ends of %s: %v", w.events, err)
	}
	at, err := w.adm.FetchOffsets(w.t.Context(), w.group)
	if err != nil {
		w.t.Fatalf("fetch the offsets of %s: %v", w.group, err)
	}
	for p, end := range ends[w.events] {
		if o, ok := at.Lookup(w.events, p); !ok || o.At < end.Offset {
			return false
		}
	}
	return true
}

// put appends records to the input topic, in their order.
func (w *world) put(recs ...*kgo.Record) {
	w.t.Helper()
	cl := kafkaClient(w.t, w.brokers, kgo.DefaultProduceTopic(w.events), kgo.ProducerBatchMaxBytes(4<<20),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err := cl.ProduceSync(w.t.Context(), recs...).FirstErr(); err != nil {
		w.t.Fatalf("produce to %s: %v", w.events, err)
	}
}
