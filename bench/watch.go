package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/bench/load"
	"github.com/nudged/nudged/bench/oracle"
	"github.com/nudged/nudged/bench/workload"
)

// watcher reads the sends topic while the traffic runs, and notes how long each
// command took. A command counts as visible when a poll has returned it. It
// counts the decisions too, to know when nudged has done all it should.
type watcher struct {
	client   *kgo.Client
	topics   load.Topics
	sent     []atomic.Int64 // by event number: when it was produced, Unix ns
	dated    []atomic.Int64 // by event number: its own time, Unix ms
	sends    int            // owed
	decided  int            // decisions owed
	from     time.Time      // commands of events produced before are not measured
	seenOnce map[string]bool
	seen     int // decisions seen

	fromProduce, fromEvent histogram
}

func newWatcher(brokers []string, topics load.Topics, events int, owed oracle.Result, from time.Time) (*watcher, error) {
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.ConsumeTopics(topics.Sends, topics.Decisions),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		return nil, fmt.Errorf("consumer of topics %q and %q: %w", topics.Sends, topics.Decisions, err)
	}
	return &watcher{
		client: cl, topics: topics, sent: make([]atomic.Int64, events+1), dated: make([]atomic.Int64, events+1),
		sends: len(owed.Sends), decided: owed.Decisions.Total(), from: from, seenOnce: make(map[string]bool, len(owed.Sends)),
		fromProduce: newHistogram(), fromEvent: newHistogram(),
	}, nil
}

// produced notes when an event went out; of an event that arrives twice, the
// first time.
func (w *watcher) produced(ev *workload.Event, now time.Time) {
	if n := eventNumber(ev.ID); n > 0 && n < len(w.sent) && w.sent[n].CompareAndSwap(0, now.UnixNano()) {
		w.dated[n].Store(ev.TimeMS)
	}
}

// run reads until as many commands and decisions are there as are owed, or ctx
// ends, which is no error: the verdict tells what is missing.
func (w *watcher) run(ctx context.Context) error {
	defer w.client.Close()
	for len(w.seenOnce) < w.sends || w.seen < w.decided {
		fetches := w.client.PollFetches(ctx)
		now := time.Now()
		if ctx.Err() != nil {
			return nil
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("topic %q partition %d: %w", e.Topic, e.Partition, e.Err)
		}
		var err error
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Topic == w.topics.Decisions {
				w.seen++
				return
			}
			err = errors.Join(err, w.take(r.Value, now))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *watcher) take(value []byte, now time.Time) error {
	var m struct {
		CommandID string `json:"command_id"`
		Trigger   struct {
			ID string `json:"id"`
		} `json:"trigger"`
	}
	if err := json.Unmarshal(value, &m); err != nil {
		return fmt.Errorf("a send is not JSON: %w: %s", err, value)
	}
	n := eventNumber(m.Trigger.ID)
	if n <= 0 || n >= len(w.sent) || w.sent[n].Load() == 0 {
		return fmt.Errorf("a send is triggered by an event that was not produced: %s", value)
	}
	if w.seenOnce[m.CommandID] {
		return nil // the verdict will say so
	}
	w.seenOnce[m.CommandID] = true
	sent := time.Unix(0, w.sent[n].Load())
	if sent.Before(w.from) {
		return nil
	}
	return errors.Join(
		w.fromProduce.record(now.Sub(sent)),
		w.fromEvent.record(now.Sub(time.UnixMilli(w.dated[n].Load()))))
}

// eventNumber returns the number in an id of the workload, 0 for other ids.
func eventNumber(id string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(id, "e"))
	if err != nil {
		return 0
	}
	return n
}

// histogram holds latencies in microseconds, up to ten minutes, to three digits.
type histogram struct{ *hdrhistogram.Histogram }

func newHistogram() histogram {
	return histogram{hdrhistogram.New(1, (10 * time.Minute).Microseconds(), 3)}
}

func (h histogram) record(d time.Duration) error { return h.RecordValue(max(d.Microseconds(), 0)) }

// latencies are percentiles in milliseconds.
type latencies struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p99.9"`
	Max   float64 `json:"max"`
}

func (h histogram) latencies() latencies {
	at := func(p float64) float64 { return float64(h.ValueAtPercentile(p)) / 1000 }
	return latencies{h.TotalCount(), at(50), at(90), at(99), at(99.9), float64(h.Max()) / 1000}
}

func (l latencies) String() string {
	return fmt.Sprintf("p50 %.1f ms, p90 %.1f, p99 %.1f, p99.9 %.1f, max %.1f (%d commands)", l.P50, l.P90, l.P99, l.P999, l.Max, l.Count)
}
