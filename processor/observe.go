package processor

import (
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/nudged/nudged/rules"
)

// Observer hears what partitions do: a few calls a batch, and one a send command
// while there is tracing; none a record.
type Observer interface {
	// Open returns who hears of a partition from a claim to the next.
	Open(input TopicPartition) PartitionObserver
	// Transaction is told of a transaction that has ended, and its error.
	Transaction(took time.Duration, err error)
}

// PartitionObserver hears of one partition. Written, Send and Closed are called by
// the partition's goroutine, Published by the publisher's.
type PartitionObserver interface {
	// Send returns the traceparent that a send command goes out with, "" for none.
	Send(d *rules.Decision, cause Cause) string
	// Written is told of a batch that is in the store. The report is good only
	// during the call.
	Written(b *BatchReport)
	// Published is told that everything up to the batch seq is visible.
	Published(seq int64)
	// Closed says that the claim is over and why. What is not published by then
	// will be after the next one.
	Closed(cause error)
}

// BatchReport is what there is to tell of a batch.
type BatchReport struct {
	Seq     int64
	Records int // input records taken in
	States  int // users written
	Out     int // outgoing records
	// Begun is when the first record was applied or the first timer fired,
	// Computed when the batch was closed, Stored when the store had it.
	Begun, Computed, Stored time.Time
	Decided                 []DecidedReport
	// Traces are those of sampled events, at most MaxTraces of them.
	Traces []string
}

// DecidedReport is what there is to tell of a decision.
type DecidedReport struct {
	Rule    string
	Outcome rules.Outcome
	Cause   Cause
	Due, At int64  // ms
	User    uint64 // xxhash64 of the user id
	Trace   string // the traceparent that Send returned
}

// MaxTraces is how many traces of events a batch remembers.
const MaxTraces = 128

// observing is what a partition gathers for its observer in the open batch.
type observing struct {
	by      PartitionObserver // nil: nobody
	tracing bool
	report  BatchReport
}

func (o *observing) init(cfg *Settings, input TopicPartition) {
	if cfg.Observer != nil {
		o.by, o.tracing = cfg.Observer.Open(input), cfg.Tracing
	}
}

// begin notes when the open batch began.
func (o *observing) begin() {
	if o.by != nil && o.report.Begun.IsZero() {
		o.report.Begun = time.Now()
	}
}

// trace returns what the event is to remember of its record's trace.
func (o *observing) trace(rec *Record) string {
	t := traceOf(rec.Headers)
	if len(t) == traceLen && len(o.report.Traces) < MaxTraces {
		o.report.Traces = append(o.report.Traces, t)
	}
	return t
}

// decided notes a decision and returns the traceparent of its command.
func (o *observing) decided(d *rules.Decision, cause Cause) (traceparent string) {
	if o.by == nil {
		return ""
	}
	if o.tracing && d.Outcome == rules.Sent {
		traceparent = o.by.Send(d, cause)
	}
	o.report.Decided = append(o.report.Decided, DecidedReport{
		Rule: d.Rule, Outcome: d.Outcome, Cause: cause, Due: d.Due, At: d.At, User: xxhash.Sum64String(d.User), Trace: traceparent,
	})
	return traceparent
}

// written passes the report of the batch on and starts the next.
func (o *observing) written(seq int64, states, out int, computed time.Time) {
	if o.by == nil {
		return
	}
	r := &o.report
	r.Seq, r.States, r.Out, r.Computed, r.Stored = seq, states, out, computed, time.Now()
	if r.Begun.IsZero() {
		r.Begun = computed
	}
	o.by.Written(r)
	clear(r.Decided)
	clear(r.Traces)
	*r = BatchReport{Decided: r.Decided[:0], Traces: r.Traces[:0]}
}

// now reads the clock if somebody is to be told.
func (o *observing) now() (t time.Time) {
	if o.by != nil {
		t = time.Now()
	}
	return t
}
