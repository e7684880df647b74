package telemetry

import (
	"context"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/rules"
)

// Observer turns what partitions tell into metrics and spans. It implements
// processor.Observer.
type Observer struct {
	t     *Telemetry
	topic string // of sends
	group string
	now   func() int64 // the wall clock, ms
	wall  bool         // partitions run on it

	decisions                                        metric.Int64Counter
	lateness, sendLatency, batch, batchWrite, commit metric.Float64Histogram
	committed, notCommitted                          metric.MeasurementOption

	mu      sync.Mutex
	byRule  map[decided]metric.MeasurementOption
	recent  [recentDecisions]Decision
	decided int // so many have been seen
}

// decided is what decisions are counted by.
type decided struct {
	rule    string
	outcome rules.Outcome
}

// Decision is one of the latest decisions.
type Decision struct {
	Input   processor.TopicPartition
	Rule    string
	Outcome rules.Outcome
	Due, At int64  // ms
	User    string // hash
	Trace   string // traceparent of the send, "" for none
}

const recentDecisions = 50

// ObserverConfig is what an Observer has to know.
type ObserverConfig struct {
	Group, Sends string
	EventClock   bool
	Now          func() int64 // ms
}

// NewObserver returns an observer of a processor.
func (t *Telemetry) NewObserver(c ObserverConfig) (*Observer, error) {
	o := &Observer{t: t, topic: c.Sends, group: c.Group, now: c.Now, wall: !c.EventClock, byRule: map[decided]metric.MeasurementOption{}}
	in := instruments{meter: t.meter}
	o.decisions = in.counter(&mDecisions)
	o.lateness, o.sendLatency = in.histogram(&mLateness), in.histogram(&mSendLatency)
	o.batch, o.batchWrite, o.commit = in.histogram(&mBatch), in.histogram(&mBatchWrite), in.histogram(&mCommit)
	o.committed = metric.WithAttributeSet(attribute.NewSet(labelOutcome.String("committed")))
	o.notCommitted = metric.WithAttributeSet(attribute.NewSet(labelOutcome.String("aborted")))
	return o, errors.Join(in.errs...)
}

// Transaction implements processor.Observer.
func (o *Observer) Transaction(took time.Duration, err error) {
	outcome := o.committed
	if err != nil {
		outcome = o.notCommitted
	}
	o.commit.Record(context.Background(), took.Seconds(), outcome)
}

// Open implements processor.Observer.
func (o *Observer) Open(input processor.TopicPartition) processor.PartitionObserver {
	return &partition{o: o, input: input}
}

// Recent returns the latest decisions, newest first.
func (o *Observer) Recent() []Decision {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := min(o.decided, len(o.recent))
	out := make([]Decision, n)
	for i := range n {
		out[i] = o.recent[(o.decided-1-i)%len(o.recent)]
	}
	return out
}

// countedBy returns the labels of a decision.
func (o *Observer) countedBy(rule string, outcome rules.Outcome) metric.MeasurementOption {
	k := decided{rule, outcome}
	opt, ok := o.byRule[k]
	if !ok {
		opt = metric.WithAttributeSet(attribute.NewSet(labelRule.String(rule), labelDecision.String(string(outcome))))
		o.byRule[k] = opt
	}
	return opt
}

// partition observes one partition.
type partition struct {
	o     *Observer
	input processor.TopicPartition

	mu      sync.Mutex
	sends   []trace.Span // of the open batch
	written []batch      // and not published
}

// batch is one that waits to be published.
type batch struct {
	seq   int64
	span  trace.Span
	sends []trace.Span
	due   []send
}

// send is when a command was due, and its span.
type send struct {
	due int64
	ctx context.Context
}

// Send implements processor.PartitionObserver: it begins the span of a send. A
// command that the triggering event itself decides belongs to the event's trace;
// what a timer decides, maybe days later, is a trace of its own that links back.
func (p *partition) Send(d *rules.Decision, cause processor.Cause) string {
	if d.Trigger.Trace == processor.TraceUnsampled {
		return ""
	}
	ctx := context.Background()
	opts := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindProducer)}
	if sc, ok := spanContext(d.Trigger.Trace); ok {
		if cause == processor.ByEvent && d.Trigger.Time == d.At {
			ctx = trace.ContextWithRemoteSpanContext(ctx, sc)
		} else {
			opts = append(opts, trace.WithNewRoot(), trace.WithLinks(trace.Link{SpanContext: sc, Attributes: []attribute.KeyValue{
				attrTriggerID.String(strings.Clone(d.Trigger.ID)), attrTriggerOffset.Int64(d.Trigger.Offset),
			}}))
		}
	}
	_, span := p.o.t.tracer.Start(ctx, "send "+p.o.topic, opts...)
	sc := span.SpanContext()
	if !sc.IsSampled() {
		return ""
	}
	span.SetAttributes(p.sendAttributes(d)...) // not before: most are not sampled
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sends = append(p.sends, span)
	return traceparent(sc)
}

func (p *partition) sendAttributes(d *rules.Decision) []attribute.KeyValue {
	out := []attribute.KeyValue{
		attrSystem.String("kafka"), attrOperationName.String("send"), attrOperationType.String("send"), attrDestination.String(p.o.topic),
		attrMessageID.String(d.CommandID.String()),
		attrRule.String(d.Rule), attrStep.Int(d.Step), attrUserHash.String(userHash(xxhash.Sum64String(d.User))),
		attrDue.String(time.UnixMilli(d.Due).UTC().Format(time.RFC3339Nano)),
		attrTriggerID.String(strings.Clone(d.Trigger.ID)), attrTriggerType.String(strings.Clone(d.TriggerType)), attrTriggerTopic.String(p.input.Topic),
		attrTriggerPart.Int(int(d.Trigger.Partition)), attrTriggerOffset.Int64(d.Trigger.Offset),
	}
	if d.Send != nil {
		out = append(out, attrChannel.String(d.Send.Channel))
	}
	if d.Experiment != "" {
		out = append(out, attrExperiment.String(d.Experiment), attrArm.String(strings.Clone(d.Arm)))
	}
	return out
}

// Written implements processor.PartitionObserver.
func (p *partition) Written(b *processor.BatchReport) {
	o := p.o
	ctx := context.Background()
	w := batch{seq: b.Seq}
	if o.t.Tracing {
		w.span = p.batchSpan(b)
		ctx = trace.ContextWithSpan(ctx, w.span)
	}
	o.batch.Record(ctx, b.Stored.Sub(b.Begun).Seconds())
	o.batchWrite.Record(ctx, b.Stored.Sub(b.Computed).Seconds())
	o.mu.Lock()
	for i := range b.Decided {
		d := &b.Decided[i]
		dctx := context.Background()
		if sc, ok := parseTraceparent(d.Trace); ok {
			dctx = trace.ContextWithSpanContext(dctx, sc)
		}
		o.decisions.Add(dctx, 1, o.countedBy(d.Rule, d.Outcome))
		if d.Cause == processor.ByTimer {
			o.lateness.Record(dctx, seconds(d.At-d.Due))
		}
		if d.Outcome == rules.Sent && o.wall {
			w.due = append(w.due, send{d.Due, dctx})
		}
		if len(b.Decided)-i <= recentDecisions {
			o.recent[o.decided%recentDecisions] = Decision{p.input, d.Rule, d.Outcome, d.Due, d.At, userHash(d.User), d.Trace}
			o.decided++
		}
	}
	o.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	w.sends, p.sends = p.sends, nil
	p.written = append(p.written, w)
}

// batchSpan begins the span of a batch, linked to the producers whose records are
// in it and were sampled. It ends when the batch is published.
func (p *partition) batchSpan(b *processor.BatchReport) trace.Span {
	links := make([]trace.Link, 0, len(b.Traces))
	for _, t := range b.Traces {
		if sc, ok := spanContext(t); ok {
			links = append(links, trace.Link{SpanContext: sc})
		}
	}
	_, span := p.o.t.tracer.Start(context.Background(), "process "+p.input.Topic, trace.WithNewRoot(), trace.WithTimestamp(b.Begun),
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithLinks(links...), trace.WithAttributes(
			attrSystem.String("kafka"), attrOperationName.String("process"), attrOperationType.String("process"),
			attrDestination.String(p.input.Topic), attrPartition.String(strconv.Itoa(int(p.input.Partition))), attrGroup.String(p.o.group),
			attrBatchSize.Int(b.Records), attrSeq.Int64(b.Seq), attrStates.Int(b.States), attrOut.Int(b.Out), attrDecisions.Int(len(b.Decided)),
		))
	span.AddEvent(stageComputed, trace.WithTimestamp(b.Computed))
	span.AddEvent(stageStored, trace.WithTimestamp(b.Stored))
	return span
}

// Published implements processor.PartitionObserver.
func (p *partition) Published(seq int64) {
	p.mu.Lock()
	n := 0
	for n < len(p.written) && p.written[n].seq <= seq {
		n++
	}
	done := p.written[:n]
	p.written = p.written[n:]
	p.mu.Unlock()
	now := p.o.now()
	for _, b := range done {
		for _, s := range b.due {
			p.o.sendLatency.Record(s.ctx, seconds(now-s.due))
		}
		for _, s := range b.sends {
			s.End()
		}
		if b.span != nil {
			b.span.AddEvent(stagePublished)
			b.span.End()
		}
	}
}

// Closed implements processor.PartitionObserver.
func (p *partition) Closed(cause error) {
	p.mu.Lock()
	left := append(p.written, batch{sends: p.sends})
	p.written, p.sends = nil, nil
	p.mu.Unlock()
	for _, b := range left {
		spans := b.sends
		if b.span != nil {
			spans = append(spans, b.span)
		}
		for _, s := range spans {
			s.SetStatus(codes.Error, "the partition was given up before this was published: "+cause.Error())
			s.End()
		}
	}
}

// seconds turns a span of ms into seconds; clocks that differ do not make it
// negative.
func seconds(ms int64) float64 { return float64(max(ms, 0)) / 1000 }

// userHash is how spans and the status page name a user.
func userHash(h uint64) string { return hex.EncodeToString(appendUint64(nil, h)) }

func appendUint64(b []byte, h uint64) []byte {
	for shift := 56; shift >= 0; shift -= 8 {
		b = append(b, byte(h>>shift))
	}
	return b
}

// spanContext reads what rules.Event.Trace holds of a sampled event.
func spanContext(t string) (trace.SpanContext, bool) {
	if len(t) != 24 {
		return trace.SpanContext{}, false
	}
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID([]byte(t[:16])), SpanID: trace.SpanID([]byte(t[16:])), TraceFlags: trace.FlagsSampled, Remote: true,
	}), true
}

// traceparent writes a sampled context as the header does.
func traceparent(sc trace.SpanContext) string {
	return "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-01"
}

// parseTraceparent reads what traceparent wrote.
func parseTraceparent(text string) (trace.SpanContext, bool) {
	if len(text) != 55 {
		return trace.SpanContext{}, false
	}
	tid, err1 := trace.TraceIDFromHex(text[3:35])
	sid, err2 := trace.SpanIDFromHex(text[36:52])
	if err1 != nil || err2 != nil {
		return trace.SpanContext{}, false
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: tid, SpanID: sid, TraceFlags: trace.FlagsSampled}), true
}
