package processor_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/sinks"
)

// fakeLog is what Kafka holds: input partitions, committed offsets with their
// metadata, who owns which partition, and the records that committed
// transactions have made visible.
type fakeLog struct {
	drop      func(sinks.Record) bool // records that are not produced, though they should be; nil: none
	mu        sync.Mutex
	counts    processor.Counts
	topicID   string
	input     map[processor.TopicPartition][]processor.Record
	starts    map[processor.TopicPartition]int64
	committed map[processor.TopicPartition]commit
	owner     map[processor.TopicPartition]string
	visible   []sinks.Record
	out       map[outPartition]*outLog
	anyEpoch  bool // K's epoch may go back
	// anyPosition says that somebody resets offsets.
	anyPosition bool
	// broken are states of the log that must never come up.
	broken []string
}

type commit struct {
	offset   int64
	metadata string
}

const topicID = "c2NlbmFyaW8tdG9waWMtaQ.cluster0"

func newFakeLog(input [][]processor.Record) *fakeLog {
	l := &fakeLog{
		topicID:   topicID,
		counts:    processor.Counts{Input: int32(len(input)), Sends: 2, Decisions: 2},
		input:     map[processor.TopicPartition][]processor.Record{},
		starts:    map[processor.TopicPartition]int64{},
		committed: map[processor.TopicPartition]commit{},
		owner:     map[processor.TopicPartition]string{},
		out:       map[outPartition]*outLog{},
	}
	for p, recs := range input {
		l.input[inputPartition(int32(p))] = recs
	}
	return l
}

func (l *fakeLog) inputs() []processor.TopicPartition {
	return slices.SortedFunc(maps.Keys(l.input), func(a, b processor.TopicPartition) int { return int(a.Partition - b.Partition) })
}

// position is K of the partition, false if nothing is committed.
func (l *fakeLog) position(tp processor.TopicPartition) (processor.Position, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.positionLocked(tp)
}

func (l *fakeLog) positionLocked(tp processor.TopicPartition) (processor.Position, bool) {
	c, ok := l.committed[tp]
	if !ok {
		return processor.Position{}, false
	}
	k, err := processor.ParsePosition(c.metadata)
	if (err != nil || k.Offset != c.offset) && !l.anyPosition {
		l.broken = append(l.broken, fmt.Sprintf("%s: offset %d with metadata %q: %v", tp, c.offset, c.metadata, err))
	}
	return k, true
}

// records are the visible records that were decided from the partition, in the
// order in which they became visible.
func (l *fakeLog) records(tp processor.TopicPartition) (marks []processor.Mark, messages []message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.visible {
		if r.Topic == "dead" {
			continue
		}
		m, err := processor.ParseMark(header(r, processor.MarkHeader))
		if err != nil {
			l.broken = append(l.broken, fmt.Sprintf("record %s of %s: %v", r.Value, r.Topic, err))
			continue
		}
		if m.Input == tp {
			marks = append(marks, m)
			messages = append(messages, message{r.Topic, string(r.Key), string(r.Value)})
		}
	}
	return marks, messages
}

// deadLetters are those of the partition, as "offset: reason".
func (l *fakeLog) deadLetters(tp processor.TopicPartition) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, r := range l.visible {
		if where, ok := strings.CutPrefix(header(r, "where"), tp.String()+"/"); ok && r.Topic == "dead" {
			out = append(out, where+": "+header(r, "why"))
		}
	}
	return out
}

func header(r sinks.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// assign gives a partition to a member.
func (l *fakeLog) assign(tp processor.TopicPartition, member string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owner[tp] = member
}

// member is the log as one process sees it: it implements processor.Log.
type member struct {
	*fakeLog
	name string
}

func (m member) Inspect(_ context.Context, tps []processor.TopicPartition) (map[processor.TopicPartition]processor.Inspection, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[processor.TopicPartition]processor.Inspection{}
	for _, tp := range tps {
		c, ok := m.committed[tp]
		send, decision := tp.Partition%m.counts.Sends, tp.Partition%m.counts.Decisions
		out[tp] = processor.Inspection{
			Committed: ok, Offset: c.offset, Metadata: c.metadata,
			Start: m.starts[tp], End: int64(len(m.input[tp])), TopicID: m.topicID, Counts: m.counts,
			Evidence: processor.Evidence{
				SendPartition: send, SendOffset: m.outLog("sends", send).end(),
				DecisionPartition: decision, DecisionOffset: m.outLog("decisions", decision).end(),
			},
		}
	}
	return out, nil
}

func (m member) Publish(_ context.Context, pubs []*processor.Publication) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, pub := range pubs {
		if m.owner[pub.Input] != m.name {
			return fmt.Errorf("%w: %s, the owner is %q", processor.ErrNotOwner, pub.Input, m.owner[pub.Input])
		}
	}
	m.commit(m.produce(pubs), pubs)
	return nil
}

// recordsOf reads the records of a publication, but for those that are dropped.
func (l *fakeLog) recordsOf(pub *processor.Publication) []sinks.Record {
	records := recordsOf(pub)
	if l.drop != nil {
		records = slices.DeleteFunc(records, l.drop)
	}
	return records
}

// recordsOf reads the records of a publication.
func recordsOf(pub *processor.Publication) []sinks.Record {
	var records []sinks.Record
	err := pub.EachRecord(func(r *sinks.Record) error {
		records = append(records, *r)
		return nil
	})
	if err != nil {
		panic(err)
	}
	return records
}

// commit makes what a transaction has produced visible, and its positions.
func (l *fakeLog) commit(txn *outTxn, pubs []*processor.Publication) {
	l.end(txn, true)
	for _, pub := range pubs {
		records := l.recordsOf(pub)
		l.visible = append(l.visible, records...)
		var before processor.Position
		if !l.anyPosition {
			before, _ = l.positionLocked(pub.Input)
		}
		k := pub.Commit
		l.committed[pub.Input] = commit{k.Offset, k.Metadata()}
		if k.Offset < before.Offset || k.Seq < before.Seq || k.Epoch < before.Epoch && !l.anyEpoch || k.Last < before.Last || k.Clock < before.Clock ||
			len(records) > 0 && k.Seq == before.Seq {
			l.broken = append(l.broken, fmt.Sprintf("%s: committed %+v with %d records after %+v", pub.Input, k, len(records), before))
		}
	}
}
