package processor_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/memory"
	"github.com/nudged/nudged/rules"
)

// toldAt returns when the decision on the user was made, by its own account.
func (r *running) toldAt(user, outcome string) (at time.Time, ok bool) {
	for _, tp := range r.log.inputs() {
		_, messages := r.log.records(tp)
		for _, m := range messages {
			if m.topic == "decisions" && m.key == user && field1(m.value, "decision") == outcome {
				at, err := time.Parse(time.RFC3339, field1(m.value, "fired"))
				return at, err == nil
			}
		}
	}
	return time.Time{}, false
}

// An idle partition fires on time by the wall clock: nothing has to be read, and
// nobody is early.
func TestIdleProcessorFiresOnTime(t *testing.T) {
	for _, wait := range []int64{1, 250, 999, 90*sec + 1, 5 * hour} {
		t.Run(time.Duration(wait*1e6).String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sc := newScenario(theRules(after(wait, "a")), processor.DecisionsFires, 2)
				now := time.Now()
				sc.add(eventAt(now.UnixMilli(), "a", "u"), 0)
				r := start(t, sc, func(r *running) { r.cfg.EventClock = false })
				due := now.Add(time.Duration(wait) * time.Millisecond)
				time.Sleep(time.Until(due) - time.Millisecond)
				if _, ok := r.toldAt("u", "sent"); ok {
					t.Fatal("it fired before it was due")
				}
				time.Sleep(500 * time.Millisecond)
				at, ok := r.toldAt("u", "sent")
				if late := at.Sub(due); !ok || late < 0 || late > 200*time.Millisecond {
					t.Errorf("due at %v, fired at %v (visible after half a second: %v)", due, at, ok)
				}
				r.stop()
			})
		})
	}
}

// After an outage the backlog is applied before the clock moves: who has bought
// meanwhile is not nudged, and what is too late expires.
func TestBacklogAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cart := after(10*mins, "a")
		cart.Unless = []rules.Unless{{On: []string{"b"}}}
		cart.ExpireAfter = 24 * hour
		sc := newScenario(theRules(cart), processor.DecisionsFires, 1)
		now := time.Now().UnixMilli()
		sc.add(eventAt(now-48*hour, "a", "stale"), 0)
		sc.add(eventAt(now-2*hour, "a", "buyer"), 0)
		sc.add(eventAt(now-2*hour, "a", "waiter"), 0)
		for i := range int64(500) {
			sc.add(eventAt(now-hour+i*sec, "u", fmt.Sprint("bystander-", i)), 0)
		}
		sc.add(eventAt(now-sec, "b", "buyer"), 0) // last of all, long after it was due
		r := start(t, sc, func(r *running) { r.cfg.EventClock, r.source.many = false, 3 })
		time.Sleep(10 * time.Second)
		for user, outcome := range map[string]string{"stale": "expired", "buyer": "cancelled", "waiter": "sent"} {
			if _, ok := r.toldAt(user, outcome); !ok {
				t.Errorf("%s was not %s", user, outcome)
			}
		}
		if marks, _ := r.log.records(inputPartition(0)); len(marks) != 4 {
			t.Errorf("%d records are visible, want three decisions and a send", len(marks))
		}
		r.stop()
	})
}

// Bounded fires leave room for events, and everything fires in the end.
func TestManyTimersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const users = 1000
		sc := newScenario(theRules(after(hour, "a")), processor.DecisionsFires, 1)
		now := time.Now().UnixMilli()
		for i := range users {
			sc.add(eventAt(now, "a", fmt.Sprint("u", i)), 0)
		}
		r := start(t, sc, func(r *running) { r.cfg.EventClock, r.cfg.FiresPerBatch, r.cfg.BatchUsers = false, 30, 50 })
		time.Sleep(time.Hour + 30*time.Second)
		marks, messages := r.log.records(inputPartition(0))
		seen := map[message]bool{}
		for _, m := range messages {
			seen[m] = true
		}
		if len(marks) != 2*users || len(seen) != 2*users {
			t.Errorf("%d records, %d of them different, want %d", len(marks), len(seen), 2*users)
		}
		k, _ := r.log.position(inputPartition(0))
		if err := checkMarks(k, marks, true); err != nil {
			t.Error(err)
		}
		r.stop()
	})
}

// An idle partition notices within a second or two that Redis has lost what it
// wrote, and does not wait for the next event to bring it back: its timers would
// wait with it.
func TestLossIsNoticedWhenIdle(t *testing.T) {
	for name, lose := range map[string]func(*memory.Store, *memory.Snapshot){
		"fallen back": (*memory.Store).Restore,
		"emptied":     func(s *memory.Store, _ *memory.Snapshot) { s.Clear() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				waits := after(hour, "a")
				sc := newScenario(theRules(waits), processor.DecisionsFires, 1)
				now := time.Now().UnixMilli()
				for i := range int64(20) {
					sc.add(eventAt(now+i*sec, "a", fmt.Sprint("u", i)), 0)
				}
				input := hold(sc, 10)[0]
				r := start(t, sc, func(r *running) { r.cfg.EventClock = false })
				tp := inputPartition(0)
				r.untilFinished(tp)
				past := r.store.Snapshot()
				sc.input[0] = input
				r.source.append(tp, input[10:]...)
				r.untilFinished(tp)
				time.Sleep(time.Minute)
				if s := r.status(tp); !s.Ready {
					t.Fatalf("before the loss: %+v", s)
				}
				lose(r.store, past)
				began := time.Now()
				r.until("it is back", func() bool {
					h, err := r.store.Peek(t.Context(), tp)
					return err == nil && h != nil && h.Offset == 20 && r.status(tp).Ready
				})
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("noticed and brought back after %v", took)
				}
				if n := r.cfg.Counters.Replayed.Load(); n != 10 && n != 20 {
					t.Errorf("%d records were taken in again, want 10 or 20", n)
				}
				time.Sleep(time.Hour)
				marks, messages := r.log.records(tp)
				if len(marks) != 40 {
					t.Errorf("%d records are visible, want a send and a decision of each of 20 users", len(marks))
				}
				for _, m := range messages {
					due, err1 := time.Parse(time.RFC3339Nano, field1(m.value, "due"))
					fired, err2 := time.Parse(time.RFC3339Nano, field1(m.value, "fired"))
					if err1 != nil || err2 != nil || fired.Sub(due) > time.Second {
						t.Errorf("fired late, %v, %v: %s", err1, err2, m)
					}
				}
				r.stop()
			})
		})
	}
}

// The same for a new owner: the old one notices that it is fenced, and asks for
// the partition again only as long as it is assigned.
func TestFencedOwnerClaimsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := immediate(1, 20)
		input := hold(sc, 10)
		r := start(t, sc, nil)
		tp := inputPartition(0)
		r.untilFinished(tp)
		h, err := r.store.Peek(t.Context(), tp)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.store.Claim(t.Context(), tp, processor.Claim{ID: h.ID, Epoch: h.Epoch + 1_000_000}); err != nil {
			t.Fatal(err)
		}
		r.until("it has claimed again", func() bool {
			now, err := r.store.Peek(t.Context(), tp)
			return err == nil && now.Epoch > h.Epoch+1_000_000
		})
		if r.cfg.Counters.Fenced.Load() != 1 {
			t.Errorf("fenced %d times, want once", r.cfg.Counters.Fenced.Load())
		}
		sc.input = input
		r.source.append(tp, input[0][10:]...)
		r.untilFinished(tp)
		r.stop()
		checkOutcome(t, sc, r.log, r.store)
	})
}

// With targets what lies beyond is left alone, and the targets are reached only
// when everything up to them is published.
func TestTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := immediate(2, 60)
		targets := map[processor.TopicPartition]int64{}
		r := start(t, sc, func(r *running) {
			for _, tp := range r.log.inputs() {
				targets[tp] = int64(len(sc.input[tp.Partition])) - 7
			}
			r.cfg.Targets, r.source.many = targets, 5
		})
		r.until("the targets are reached", func() bool {
			if !r.pr.AtTargets() {
				return false
			}
			for tp, target := range targets {
				if k, _ := r.log.position(tp); k.Offset != target {
					t.Errorf("%s: said to have reached %d, K is %+v", tp, target, k)
				}
			}
			return true
		})
		time.Sleep(time.Minute)
		for tp, target := range targets {
			if k, _ := r.log.position(tp); k.Offset != target {
				t.Errorf("%s went on to %d, the target was %d", tp, k.Offset, target)
			}
		}
		r.stop()
	})
}

// A partition that cannot be read is claimed anew, and read from where the claim
// says.
func TestFaultClaimsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := immediate(2, 60)
		input := hold(sc, 10)
		r := start(t, sc, nil)
		r.untilFinished(r.log.inputs()...)
		tp := inputPartition(0)
		r.pr.Fault(tp, errors.New("offset out of range"))
		r.until("it is read again", func() bool { r.source.mu.Lock(); defer r.source.mu.Unlock(); return len(r.source.starts[tp]) == 2 })
		if got := r.source.starts[tp]; got[1] != 10 {
			t.Errorf("read from %v, want the second time from 10", got)
		}
		if n := len(r.source.starts[inputPartition(1)]); n != 1 {
			t.Errorf("the other was started %d times", n)
		}
		sc.input = input
		for p, recs := range input {
			r.source.append(inputPartition(int32(p)), recs[10:]...)
		}
		r.untilFinished(r.log.inputs()...)
		r.stop()
		checkOutcome(t, sc, r.log, r.store)
	})
}

// A new group starts where the log does. When retention has overtaken a
// partition, reading it ends in a fault, and the claim tells why.
func TestRetentionStopsAndTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := immediate(1, 30)
		tp := inputPartition(0)
		r := prepare(t, sc, func(r *running) { r.log.starts[tp] = 5 })
		r.run()
		r.pr.Assign([]processor.TopicPartition{tp})
		r.until("it goes on from the log's start", func() bool { return r.finished(tp) })
		if got := r.source.starts[tp]; len(got) != 1 || got[0] != 5 {
			t.Errorf("a new group was started at %v, want at the log's start, 5", got)
		}
		r.log.mu.Lock()
		r.log.starts[tp] = 31
		r.log.mu.Unlock()
		r.pr.Fault(tp, errors.New("offset out of range"))
		r.until("it has stopped", func() bool { return r.status(tp).Stopped != nil })
		if text := r.status(tp).Stopped.Error(); !strings.Contains(text, "retention") || !strings.Contains(text, "31") {
			t.Errorf("stopped with %q", text)
		}
		r.stop()
	})
}
