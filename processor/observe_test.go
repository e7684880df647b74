package processor_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/sinks"
)

// notes is an observer that writes down what it hears.
type notes struct {
	mu    sync.Mutex
	lines []string
	sends []string // traces of the triggers
	last  processor.BatchReport
}

func (n *notes) note(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, fmt.Sprintf(format, args...))
}

func (n *notes) Open(tp processor.TopicPartition) processor.PartitionObserver {
	n.note("open %s", tp)
	return n
}

func (n *notes) Transaction(_ time.Duration, err error) { n.note("transaction %v", err) }

func (n *notes) Send(d *rules.Decision, cause processor.Cause) string {
	n.note("send %s %c", d.User, cause)
	n.sends = append(n.sends, strings.Clone(d.Trigger.Trace))
	return "00-send-" + d.User
}

func (n *notes) Written(b *processor.BatchReport) {
	var decided []string
	for _, d := range b.Decided {
		decided = append(decided, fmt.Sprintf("%s %s late %d %s", d.Rule, d.Outcome, d.At-d.Due, d.Trace))
	}
	if b.Begun.IsZero() || b.Computed.Before(b.Begun) || b.Stored.Before(b.Computed) {
		n.note("times out of order: %v %v %v", b.Begun, b.Computed, b.Stored)
	}
	n.note("written %d: %d records, %d states, %d out, %d traces, %s", b.Seq, b.Records, b.States, b.Out, len(b.Traces), strings.Join(decided, "; "))
	n.last = *b
	n.last.Traces = slices.Clone(b.Traces)
}

func (n *notes) Published(seq int64) { n.note("published %d", seq) }
func (n *notes) Closed(cause error)  { n.note("closed %v", cause) }

const (
	sampled   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

func withTrace(offset int64, e event, trace string) processor.Record {
	r := processor.Record{Offset: offset, Timestamp: e.time, Value: e.value()}
	if trace != "" {
		r.Headers = []sinks.Header{{Key: "other", Value: []byte("x")}, {Key: "traceparent", Value: []byte(trace)}}
	}
	return r
}

// The observer hears of each batch once, in order, and of the trace of the event
// that set a timer when that fires; the command carries what it answered.
func TestObserver(t *testing.T) {
	sc := one(theRules(after(5*sec, "a"), atOnce("b")))
	heard := &notes{}
	s := newStand(t, sc, func(c *processor.Config) { c.Observer, c.Tracing = heard, true })
	recs := []processor.Record{
		withTrace(0, eventAt(10*sec, "a", "waits"), sampled),
		withTrace(1, eventAt(10*sec, "a", "unsampled"), unsampled),
		withTrace(2, eventAt(10*sec, "b", "plain"), ""),
	}
	sc.input[0] = recs
	part := s.claim(inputPartition(0))
	s.consume(part, recs)
	s.flush(part)
	s.publish()
	later := []processor.Record{withTrace(3, eventAt(20*sec, "a", "other"), "")}
	s.consume(part, later)
	s.flush(part)
	s.publish()
	want := []string{
		"open clicks/0",
		"send plain e",
		"written 1: 3 records, 3 states, 2 out, 1 traces, rule_1 sent late 0 00-send-plain",
		"transaction <nil>", "published 1",
		"send unsampled t", "send waits t",
		"written 2: 1 records, 3 states, 4 out, 0 traces, rule_0 sent late 0 00-send-unsampled; rule_0 sent late 0 00-send-waits",
		"transaction <nil>", "published 2",
	}
	if !slices.Equal(heard.lines, want) {
		t.Errorf("heard\n%s\nwant\n%s", strings.Join(heard.lines, "\n"), strings.Join(want, "\n"))
	}
	traces := map[string]string{}
	for i, user := range []string{"plain", "unsampled", "waits"} {
		traces[user] = heard.sends[i]
	}
	if traces["plain"] != "" || traces["unsampled"] != processor.TraceUnsampled ||
		fmt.Sprintf("%x", traces["waits"]) != "0af7651916cd43dd8448eb211c80319cb7ad6b7169203331" {
		t.Errorf("triggers' traces %q", traces)
	}
	for _, r := range s.log.visible {
		if got, want := header(r, "traceparent"), "00-send-"+string(r.Key); got != want {
			t.Errorf("%s: header traceparent %q, want %q", r.Topic, got, want)
		}
	}
}

// Without tracing nothing of a trace is kept or sent, but the batches are told.
func TestObserverWithoutTracing(t *testing.T) {
	sc := one(theRules(atOnce("a")))
	heard := &notes{}
	s := newStand(t, sc, func(c *processor.Config) { c.Observer = heard })
	recs := []processor.Record{withTrace(0, eventAt(10*sec, "a", "u"), sampled)}
	sc.input[0] = recs
	part := s.claim(inputPartition(0))
	s.consume(part, recs)
	s.flush(part)
	s.publish()
	want := []string{"open clicks/0", "written 1: 1 records, 1 states, 2 out, 0 traces, rule_0 sent late 0 ", "transaction <nil>", "published 1"}
	if !slices.Equal(heard.lines, want) {
		t.Errorf("heard\n%s\nwant\n%s", strings.Join(heard.lines, "\n"), strings.Join(want, "\n"))
	}
	for _, r := range s.log.visible {
		if header(r, "traceparent") != "" {
			t.Errorf("the record in %s has a traceparent", r.Topic)
		}
	}
}

// A batch remembers no more traces than it may link.
func TestTracesAreBounded(t *testing.T) {
	sc := one(theRules(atOnce("a")))
	heard := &notes{}
	s := newStand(t, sc, func(c *processor.Config) { c.Observer, c.Tracing = heard, true })
	var recs []processor.Record
	for i := range int64(3 * processor.MaxTraces) {
		recs = append(recs, withTrace(i, eventAt(10*sec, "u", "u"), sampled))
	}
	sc.input[0] = recs
	part := s.claim(inputPartition(0))
	s.consume(part, recs)
	s.flush(part)
	if n := len(heard.last.Traces); n != processor.MaxTraces {
		t.Errorf("%d traces, want %d", n, processor.MaxTraces)
	}
}

func TestTraceOfRecords(t *testing.T) {
	for value, want := range map[string]string{
		sampled: "0af7651916cd43dd8448eb211c80319cb7ad6b7169203331", unsampled: "2d",
		strings.Replace(sampled, "-01", "-03", 1):        "0af7651916cd43dd8448eb211c80319cb7ad6b7169203331",
		strings.Replace(sampled, "-01", "-02", 1):        "2d",
		strings.Replace(sampled, "00-", "cc-", 1):        "0af7651916cd43dd8448eb211c80319cb7ad6b7169203331",
		strings.Replace(sampled, "00-", "cc-", 1) + "-x": "0af7651916cd43dd8448eb211c80319cb7ad6b7169203331",
		sampled + "-x": "", strings.Replace(sampled, "00-", "ff-", 1): "", sampled[:54]: "", "": "",
		strings.Replace(sampled, "0af7", "0AF7X", 1): "", strings.Replace(sampled, "-b7", "_b7", 1): "",
		strings.Replace(sampled, "b7ad6b7169203331", "0000000000000000", 1):                      "",
		strings.Replace(sampled, "0af7651916cd43dd8448eb211c80319c", strings.Repeat("0", 32), 1): "",
		strings.Replace(sampled, "0af7", "zzzz", 1):                                              "", strings.Replace(sampled, "-01", "-0g", 1): "",
	} {
		got := fmt.Sprintf("%x", processor.TraceOf([]sinks.Header{{Key: "traceparent", Value: []byte(value)}}))
		if got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

// BenchmarkUnsampledRecord is all that tracing does for a record that is not
// sampled.
func BenchmarkUnsampledRecord(b *testing.B) {
	headers := []sinks.Header{{Key: "content-type", Value: []byte("application/json")}, {Key: "traceparent", Value: []byte(unsampled)}}
	b.ReportAllocs()
	for b.Loop() {
		if processor.TraceOf(headers) != processor.TraceUnsampled {
			b.Fatal("taken for sampled")
		}
	}
}
