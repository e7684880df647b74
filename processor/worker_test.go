package processor_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nudged/nudged/processor"
)

// immediate is a scenario of events that each make a send at once.
func immediate(partitions, events int) *scenario {
	sc := newScenario(theRules(atOnce("a")), processor.DecisionsFires, partitions)
	for i := range events {
		sc.add(eventAt(int64(i+1)*sec, "a", fmt.Sprint("u", i)), 0)
	}
	return sc
}

// hold leaves n records of each partition in the scenario's input and returns all
// of them, for the test to add while the processor runs.
func hold(sc *scenario, n int) [][]processor.Record {
	all := sc.input
	sc.input = make([][]processor.Record, len(all))
	for p := range all {
		sc.input[p] = slices.Clone(all[p][:n])
	}
	return all
}

// Records go in while it runs, commands and decisions come out as the oracle has
// them.
func TestRunningProcessorDecidesAsTheOracle(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			d := dice(rand.New(rand.NewPCG(seed, 3)).IntN)
			sc := randomScenario(d, 3, 1+d(30), 200)
			input := hold(sc, 0)
			r := start(t, sc, func(r *running) {
				r.source.many = 1 + d(30)
				r.cfg.BatchUsers = pick(d, 1, 10, 1000)
				r.cfg.OutboxLimit = 1 + d(4)
			})
			sc.input = input
			for {
				open := false
				for p := range input {
					tp := inputPartition(int32(p))
					from := len(r.log.input[tp])
					to := min(from+d(20), len(input[p]))
					r.source.append(tp, input[p][from:to]...)
					open = open || to < len(input[p])
				}
				time.Sleep(time.Duration(d(300)) * time.Millisecond)
				if !open {
					break
				}
			}
			r.untilFinished(r.log.inputs()...)
			r.stop()
			checkOutcome(seeded{t, seed}, sc, r.log, r.store)
		})
	}
}

// A lone record of a partition that is caught up does not wait for others.
func TestLatencyOfALoneRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := immediate(1, 10)
		input := hold(sc, 0)[0]
		r := start(t, sc, nil)
		time.Sleep(10 * time.Second)
		for i, rec := range input {
			began := time.Now()
			r.source.append(inputPartition(0), rec)
			r.until("the command is visible", func() bool { marks, _ := r.log.records(inputPartition(0)); return len(marks) == 2*(i+1) })
			if took := time.Since(began); took > r.cfg.FlushGap+r.cfg.SendGap {
				t.Errorf("it took %v, want at most %v for the batch and %v for the transaction", took, r.cfg.FlushGap, r.cfg.SendGap)
			}
			time.Sleep(time.Duration(i) * 3 * time.Millisecond)
		}
		r.stop()
	})
}

// Revoke returns only when nothing of the partition runs any more, however long a
// call to the store takes.
func TestRevokeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := immediate(2, 40)
		g := &gate{}
		var mu sync.Mutex
		revoked, late := false, []string{}
		r := prepare(t, sc, nil)
		r.hooked.before = func(call string, tp processor.TopicPartition) error {
			mu.Lock()
			if revoked && tp.Partition == 0 {
				late = append(late, call)
			}
			mu.Unlock()
			if call == "write" && tp.Partition == 0 {
				g.pass()
			}
			return nil
		}
		g.close()
		r.run()
		r.pr.Assign(r.log.inputs())
		r.until("a batch is being written", func() bool { return g.waiting() > 0 })
		returned := make(chan struct{})
		go func() {
			r.pr.Revoke([]processor.TopicPartition{inputPartition(0)})
			mu.Lock()
			revoked = true
			mu.Unlock()
			close(returned)
		}()
		time.Sleep(10 * time.Second)
		select {
		case <-returned:
			t.Error("Revoke has returned while a batch was being written")
		default:
		}
		g.open()
		<-returned
		if r.source.running()[inputPartition(0)] != nil {
			t.Error("the partition is still delivered")
		}
		r.log.assign(inputPartition(0), "another")
		r.untilFinished(inputPartition(1))
		time.Sleep(10 * time.Second)
		r.stop()
		if len(late) > 0 {
			t.Errorf("after Revoke had returned there were calls %v", late)
		}
		if r.status(inputPartition(0)).Input.Topic != "" {
			t.Error("a revoked partition has a status")
		}
	})
}

// Finish closes what is open and publishes it, though nothing would have been due
// for an hour.
func TestFinishPublishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := immediate(3, 60)
		input := hold(sc, 5)
		r := start(t, sc, func(r *running) {
			r.cfg.FlushGap, r.cfg.BatchAge, r.cfg.SendGap, r.cfg.BacklogGap, r.cfg.CommitInterval = 2*time.Hour, 2*time.Hour, 2*time.Hour, 2*time.Hour, 2*time.Hour
			r.source.many = 7
		})
		// The first batch of a session does not wait: there was none before it.
		time.Sleep(time.Minute)
		sc.input = input
		for p, recs := range input {
			r.source.append(inputPartition(int32(p)), recs[5:]...)
		}
		r.until("everything is applied", func() bool {
			return !slices.ContainsFunc(r.pr.Status(), func(s processor.Status) bool { return s.Offset < int64(len(sc.input[s.Input.Partition])) })
		})
		for _, tp := range r.log.inputs() {
			if r.finished(tp) {
				t.Fatalf("%s is published before Finish: the test shows nothing", tp)
			}
		}
		if err := r.pr.Finish(t.Context()); err != nil {
			t.Error(err)
		}
		for _, tp := range r.log.inputs() {
			if !r.finished(tp) {
				t.Errorf("%s is not published to its end", tp)
			}
		}
		r.stop()
		checkOutcome(t, sc, r.log, r.store)
	})
}

// A stop that cannot be graceful is cut short, and the next process has nothing
// missing.
func TestFinishGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := immediate(2, 60)
		down := errors.New("Redis is away")
		away := &atomic.Bool{}
		input := hold(sc, 10)
		r := start(t, sc, func(r *running) {
			r.hooked.before = func(string, processor.TopicPartition) error {
				if away.Load() {
					return down
				}
				return nil
			}
		})
		r.untilFinished(r.log.inputs()...)
		away.Store(true)
		sc.input = input
		for p, recs := range input {
			r.source.append(inputPartition(int32(p)), recs[10:]...)
		}
		r.until("Redis is missed", func() bool { return r.cfg.Counters.StoreErrors.Load() > 3 })
		if trouble := r.status(inputPartition(0)).Trouble; !strings.Contains(trouble, down.Error()) {
			t.Errorf("trouble %q, want it to say %q", trouble, down)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		began := time.Now()
		if err := r.pr.Finish(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 8*time.Second {
			t.Errorf("Finish returned %v after %v, want it to give up after 8 s", err, time.Since(began))
		}
		r.stop()
		// Redis is back, and so is a process.
		again := prepare(t, sc, nil)
		again.log, again.store, again.hooked.Store = r.log, r.store, r.store
		again.source.log = r.log
		again.cfg.Log = member{r.log, "one"}
		again.pr = processor.New(again.cfg)
		again.source.to = again.pr
		again.run()
		again.pr.Assign(r.log.inputs())
		again.untilFinished(r.log.inputs()...)
		again.stop()
		checkOutcome(t, sc, r.log, r.store)
	})
}
