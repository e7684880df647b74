package backtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/internal/embedded"
)

// topic starts a Kafka and fills a topic of four partitions with the lines.
func topic(t *testing.T, lines string, stamp func(i int) time.Time) []kgo.Opt {
	t.Helper()
	addrs, stop, err := embedded.StartKafka(map[string]int32{"events": 4, "empty": 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	opts := []kgo.Opt{kgo.SeedBrokers(addrs...)}
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil))}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var records []*kgo.Record
	for i, l := range strings.Split(strings.TrimSpace(lines), "\n") {
		var e struct{ User string }
		_ = json.Unmarshal([]byte(l), &e) // what is no event has no key
		records = append(records, &kgo.Record{Topic: "events", Key: []byte(e.User), Value: []byte(l), Timestamp: stamp(i)})
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return opts
}

func now(int) time.Time { return time.UnixMilli(jan1 + 400*dayMS) }

// The same events in a file and in a topic bring the same decisions.
func TestTopicAndFileAgree(t *testing.T) {
	lines := traffic(5, 5000)
	c := Config{Rules: write(t, "r.yaml", moreRules), Compare: write(t, "o.yaml", otherRules), Partitions: 4}
	c.Files = []string{write(t, "e.jsonl", lines)}
	want := findings(t, c)
	c.Files, c.Topic, c.Options = nil, "events", topic(t, lines, now)
	var first found
	for _, workers := range []int{1, 3} {
		c.Workers = workers
		got := findings(t, c)
		if workers == 1 {
			first = got
		} else if got != first {
			t.Errorf("%d workers find something else than one", workers)
		}
		if got.json != want.json || got.csv != want.csv || got.compare != want.compare {
			t.Errorf("the topic tells\n%s\nthe file\n%s", got.text, want.text)
		}
		if ids(t, got.decisions) != ids(t, want.decisions) {
			t.Errorf("%d workers: other decisions", workers)
		}
		if !strings.Contains(got.complaints, "events/") || strings.Count(got.complaints, "\n") != strings.Count(want.complaints, "\n") {
			t.Errorf("complaints\n%.300s\nwant %d", got.complaints, strings.Count(want.complaints, "\n"))
		}
	}
	if !strings.Contains(first.decisions, `"topic":"events"`) {
		t.Errorf("the decisions do not name the topic:\n%.300s", first.decisions)
	}
}

// ids lists command ids with their outcomes, sorted.
func ids(t *testing.T, decisions string) string {
	t.Helper()
	var list []string
	for _, l := range strings.Split(strings.TrimSpace(decisions), "\n") {
		var d struct {
			CommandID string `json:"command_id"`
			Decision  string
			Fired     string
		}
		if err := json.Unmarshal([]byte(l), &d); err != nil {
			t.Fatal(err)
		}
		list = append(list, d.CommandID+d.Decision+d.Fired)
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}

func TestTopicBetweenTwoTimes(t *testing.T) {
	var b strings.Builder
	for i := range 200 {
		b.WriteString(line(i, "view", fmt.Sprintf("u%d", i), jan1+int64(i)*3_600_000, ""))
	}
	// The records are as old as the events, as they are live.
	live := topic(t, b.String(), func(i int) time.Time { return time.UnixMilli(jan1 + int64(i)*3_600_000) })
	for name, c := range map[string]Config{"live": {Options: live, MaxAhead: 300_000}, "loaded later": {Options: topic(t, b.String(), now)}} {
		read, total := 0, int64(0)
		c.Rules, c.Topic, c.From, c.To = write(t, "r.yaml", testRules), "events", jan1+100*3_600_000, jan1+150*3_600_000
		c.OnRead, c.OnTotal = func(n int) { read += n }, func(n int64) { total = n }
		res := play(t, &c)
		if res.Events != 50 || res.Rules[0].Outcomes["sent"] != 49 || res.Pending != 1 {
			t.Errorf("%s: events %d, outcomes %v, pending %d", name, res.Events, res.Rules[0].Outcomes, res.Pending)
		}
		// What lies before the time asked for is not read.
		if want := map[string]int{"live": 100, "loaded later": 200}[name]; read != want || total != int64(want) {
			t.Errorf("%s: %d of %d records read, want %d", name, read, total, want)
		}
	}
}

func TestTopicsWithoutEvents(t *testing.T) {
	opts := topic(t, line(1, "view", "a", jan1, ""), now)
	var decisions bytes.Buffer
	res := play(t, &Config{Rules: write(t, "r.yaml", testRules), Topic: "empty", Options: opts, Decisions: &decisions})
	if res.Events != 0 || decisions.Len() != 0 {
		t.Errorf("result %+v", res)
	}
	c := Config{Rules: write(t, "r.yaml", testRules), Topic: "nowhere", Options: opts}
	if _, err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), `topic "nowhere" does not exist`) {
		t.Errorf("error %v", err)
	}
}

// The last record that is certain was aborted, and its marker lies behind the first
// record of a transaction that is open: nothing at or below the end is handed out.
func TestTopicEndsWithAnAbortedRecord(t *testing.T) {
	opts := topic(t, line(1, "view", "a", jan1, ""), now)
	begin := func(id string) *kgo.Client {
		cl, err := kgo.NewClient(append([]kgo.Opt{kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		r := &kgo.Record{Topic: "empty", Key: []byte("a"), Value: []byte(line(2, "view", "a", jan1, "")), Timestamp: now(0)}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		return cl
	}
	aborted, open := begin("aborted"), begin("open")
	if err := aborted.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	c := Config{Rules: write(t, "r.yaml", testRules), Topic: "empty", Options: opts}
	c.OnTotal = func(n int64) {
		if n != 1 {
			t.Errorf("the topic ends at %d, want 1: this is not the case that is meant", n)
		}
		if err := open.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Error(err)
		}
	}
	if res := play(t, &c); res.Events != 0 {
		t.Errorf("%d events, want none: they came after the end", res.Events)
	}
	c.OnTotal = nil
	if res := play(t, &c); res.Events != 1 {
		t.Errorf("%d events, want the committed one", res.Events)
	}
}
