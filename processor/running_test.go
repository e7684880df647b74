package processor_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/memory"
)

// running is a Processor that runs, in the time of a bubble, on a log, a source
// and a store in memory.
type running struct {
	t      *testing.T
	sc     *scenario
	log    *fakeLog
	store  *memory.Store
	hooked *hooked // the store as the processor reaches it
	source *fakeSource
	cfg    processor.Config
	pr     *processor.Processor
	cancel context.CancelFunc
	ended  chan error
}

// prepare makes a processor that does not run yet.
func prepare(t *testing.T, sc *scenario, change func(*running)) *running {
	r := &running{t: t, sc: sc, log: newFakeLog(sc.input), store: &memory.Store{}}
	r.hooked = &hooked{Store: r.store}
	r.source = newFakeSource(r.log)
	r.cfg = processor.Config{
		Settings: sc.settings(r.hooked, "aaaaaaaa"), Log: member{r.log, "one"}, Source: r.source,
		Logger:         slog.New(slog.DiscardHandler),
		Now:            func() int64 { return time.Now().UnixMilli() },
		CommitInterval: 100 * time.Millisecond, SendGap: 20 * time.Millisecond, BacklogGap: 200 * time.Millisecond,
		FlushGap: 5 * time.Millisecond, BatchAge: time.Second, FiresPerBatch: 100,
	}
	if change != nil {
		change(r)
	}
	r.pr = processor.New(r.cfg)
	r.source.to = r.pr
	for _, tp := range r.log.inputs() {
		r.log.assign(tp, "one")
	}
	return r
}

// start runs the processor and gives it all partitions.
func start(t *testing.T, sc *scenario, change func(*running)) *running {
	r := prepare(t, sc, change)
	r.run()
	r.pr.Assign(r.log.inputs())
	return r
}

func (r *running) run() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.ended = cancel, make(chan error, 1)
	pr, ended := r.pr, r.ended
	go func() { ended <- pr.Run(ctx) }()
	r.t.Cleanup(cancel) // a test that fails does not leave it running
}

// stop ends the processor. The bubble sees to it that nothing of it is left.
func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	if err := <-r.ended; err != nil {
		r.t.Errorf("Run: %v", err)
	}
	if left := r.source.running(); len(left) > 0 {
		r.t.Errorf("still delivered after the end: %v", left)
	}
	for _, b := range r.source.broken {
		r.t.Error(b)
	}
}

// until lets time pass, in the bubble, until cond holds. It gives up after an
// hour of that time.
func (r *running) until(what string, cond func() bool) {
	r.t.Helper()
	for range 3_600_000 {
		if cond() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	r.t.Fatalf("not after an hour: %s; %+v", what, r.pr.Status())
}

// finished says that the partition is published to the end of its log.
func (r *running) finished(tp processor.TopicPartition) bool {
	k, ok := r.log.position(tp)
	h, err := r.store.Peek(context.Background(), tp)
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	return ok && err == nil && h != nil && k.Offset == int64(len(r.log.input[tp])) && h.Seq == k.Seq
}

func (r *running) untilFinished(tps ...processor.TopicPartition) {
	r.t.Helper()
	for _, tp := range tps {
		r.until(tp.String()+" is published to its end", func() bool { return r.finished(tp) })
	}
}

func (r *running) status(tp processor.TopicPartition) processor.Status {
	for _, s := range r.pr.Status() {
		if s.Input == tp {
			return s
		}
	}
	return processor.Status{}
}

// gate is a place where calls can be held up.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // nil: open
	held int
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.shut)
	g.shut = nil
}

// pass waits while the gate is shut.
func (g *gate) pass() {
	g.mu.Lock()
	shut := g.shut
	if shut != nil {
		g.held++
	}
	g.mu.Unlock()
	if shut != nil {
		<-shut
	}
}

func (g *gate) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

// scripted is a log whose transactions are met on their way.
type scripted struct {
	processor.Log
	// publish takes the place of Log.Publish, which it is given.
	publish func(pubs []*processor.Publication, really func() error) error
}

func (s *scripted) Publish(ctx context.Context, pubs []*processor.Publication) error {
	return s.publish(pubs, func() error { return s.Log.Publish(ctx, pubs) })
}

// hasRecords says that the transaction is one of batches, not of claims.
func hasRecords(pubs []*processor.Publication) bool {
	for _, p := range pubs {
		if len(p.Entries) > 0 {
			return true
		}
	}
	return false
}
