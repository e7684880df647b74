package processor_test

import (
	"context"
	"errors"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/sinks"
)

// outPartition is a partition of the send, decision or dead-letter topic.
type outPartition struct {
	topic     string
	partition int32
}

// outLog is what it holds: records of transactions, and the markers that end them.
type outLog struct {
	entries []outEntry
	start   int64   // what lies below was removed by retention
	late    *outTxn // has ended, but its marker has not come here yet
}

type outEntry struct {
	rec    sinks.Record
	marker bool
	txn    *outTxn
}

// outTxn is a transaction as a topic sees it.
type outTxn struct {
	ended, committed bool
	touched          []outPartition
}

func (o *outLog) end() int64 { return int64(len(o.entries)) }

// stable is the last stable offset: up to there it is known what is committed.
func (o *outLog) stable() int64 {
	for i, e := range o.entries {
		if !e.txn.ended || e.txn == o.late {
			return int64(i)
		}
	}
	return o.end()
}

func (l *fakeLog) outLog(topic string, partition int32) *outLog {
	at := outPartition{topic, partition}
	if l.out[at] == nil {
		l.out[at] = &outLog{}
	}
	return l.out[at]
}

// produce appends the records of a transaction and tells what was acknowledged.
func (l *fakeLog) produce(pubs []*processor.Publication) *outTxn {
	txn := &outTxn{}
	for _, pub := range pubs {
		for _, r := range l.recordsOf(pub) {
			o := l.outLog(r.Topic, r.Partition)
			o.entries = append(o.entries, outEntry{rec: r, txn: txn})
			txn.touched = append(txn.touched, outPartition{r.Topic, r.Partition})
			switch r.Topic {
			case "sends":
				pub.AckedSend = o.end()
			case "decisions":
				pub.AckedDecision = o.end()
			}
		}
	}
	return txn
}

// end writes the markers of a transaction.
func (l *fakeLog) end(txn *outTxn, committed bool) {
	txn.ended, txn.committed = true, committed
	done := map[outPartition]bool{}
	for _, at := range txn.touched {
		if !done[at] {
			done[at] = true
			l.out[at].entries = append(l.out[at].entries, outEntry{marker: true, txn: txn})
		}
	}
}

var errPending = errors.New("simulated: a transaction is pending")

// fakeReader reads evidence from a fakeLog.
type fakeReader struct {
	log         *fakeLog
	from, until processor.Evidence
	// toStable reads up to what is stable when it is asked, without waiting for the
	// rest.
	toStable bool
	many     int // records in one answer
}

// Evidence implements processor.Log.
func (m member) Evidence(_ context.Context, from, until processor.Evidence) (processor.EvidenceReader, error) {
	from.SendOffset = max(from.SendOffset, m.outLog("sends", until.SendPartition).start)
	from.DecisionOffset = max(from.DecisionOffset, m.outLog("decisions", until.DecisionPartition).start)
	return &fakeReader{log: m.fakeLog, from: from, until: until, many: 7}, nil
}

func (r *fakeReader) Start() processor.Evidence { return r.from }
func (r *fakeReader) Close()                    {}

func (r *fakeReader) Next(_ context.Context, send bool) ([]processor.EvidenceRecord, error) {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	o, at, until := r.log.outLog("decisions", r.until.DecisionPartition), &r.from.DecisionOffset, r.until.DecisionOffset
	if send {
		o, at, until = r.log.outLog("sends", r.until.SendPartition), &r.from.SendOffset, r.until.SendOffset
	}
	switch stable := o.stable(); {
	case stable >= until:
	case r.toStable:
		until = stable
	default:
		return nil, errPending
	}
	var out []processor.EvidenceRecord
	for ; *at < until && len(out) < r.many; *at++ {
		e := o.entries[*at]
		if e.marker || !e.txn.committed {
			continue
		}
		rec := processor.EvidenceRecord{Value: e.rec.Value}
		if mark := header(e.rec, processor.MarkHeader); mark != "" {
			rec.Mark = []byte(mark)
		}
		out = append(out, rec)
	}
	if len(out) == 0 {
		return nil, processor.ErrEvidenceEnd
	}
	return out, nil
}
