package processor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/sinks"
)

// A transaction that fails, committed or not, is nobody's loss: all its partitions
// are claimed anew, and everything is visible once.
func TestFailedTransactions(t *testing.T) {
	for name, committed := range map[string]bool{"aborted": false, "outcome unknown, committed": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sc := immediate(3, 90)
				input := hold(sc, 0)
				var mu sync.Mutex
				failures := 0
				claims := map[processor.TopicPartition]int{}
				failed := map[processor.TopicPartition]bool{}
				r := start(t, sc, func(r *running) {
					r.source.many, r.cfg.BatchUsers = 2, 2
					real := r.cfg.Log
					r.cfg.Log = &scripted{Log: real, publish: func(pubs []*processor.Publication, really func() error) error {
						mu.Lock()
						fail := hasRecords(pubs) && failures < 5
						if fail {
							failures++
							for _, p := range pubs {
								failed[p.Input] = true
							}
						}
						mu.Unlock()
						if !fail || committed {
							if err := really(); err != nil || !fail {
								return err
							}
						}
						return fmt.Errorf("%w: scripted", processor.ErrNotPublished)
					}}
					r.hooked.before = func(call string, tp processor.TopicPartition) error {
						mu.Lock()
						defer mu.Unlock()
						if call == "claim" {
							claims[tp]++
						}
						return nil
					}
				})
				for n := 0; n < 90; n += 6 {
					for p, recs := range input {
						r.source.append(inputPartition(int32(p)), recs[min(n, len(recs)):min(n+6, len(recs))]...)
					}
					r.untilFinished(r.log.inputs()...)
				}
				sc.input = input
				r.stop()
				checkOutcome(t, sc, r.log, r.store)
				if failures != 5 || len(failed) == 0 {
					t.Fatalf("%d transactions with %v failed, want 5", failures, failed)
				}
				for tp := range failed {
					if claims[tp] < 2 {
						t.Errorf("%s was claimed %d times, a transaction with it has failed", tp, claims[tp])
					}
				}
				if n := r.cfg.Counters.Aborted.Load(); n != 5 {
					t.Errorf("%d aborted transactions counted, want 5", n)
				}
			})
		})
	}
}

// A partition whose transaction ended in doubt is not published again before it
// has been claimed, though its session takes long to end and others publish.
func TestDoubtIsNotPublishedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := immediate(2, 60)
		input := hold(sc, 5)
		g := &gate{}
		var mu sync.Mutex
		doubt, writes := false, 0
		r := start(t, sc, func(r *running) {
			real := r.cfg.Log
			r.cfg.Log = &scripted{Log: real, publish: func(pubs []*processor.Publication, really func() error) error {
				mu.Lock()
				first := !doubt && hasRecords(pubs) && slices.ContainsFunc(pubs, func(p *processor.Publication) bool {
					return p.Input.Partition == 0 && len(p.Entries) > 0 && p.Commit.Offset > 5
				})
				doubt = doubt || first
				mu.Unlock()
				if err := really(); err != nil || !first {
					return err
				}
				return fmt.Errorf("%w: scripted", processor.ErrNotPublished)
			}}
			r.hooked.before = func(call string, tp processor.TopicPartition) error {
				if call == "write" && tp.Partition == 0 {
					mu.Lock()
					writes++
					mu.Unlock()
					g.pass()
				}
				return nil
			}
		})
		r.untilFinished(r.log.inputs()...)
		// A batch of partition 0 goes out and its outcome is in doubt, while the
		// next one hangs on its way to the store.
		r.source.append(inputPartition(0), input[0][5])
		r.until("a batch is written", func() bool { mu.Lock(); defer mu.Unlock(); return writes == 2 })
		g.close()
		r.source.append(inputPartition(0), input[0][6])
		r.until("the next one hangs", func() bool { return g.waiting() == 1 })
		r.until("the first is in doubt", func() bool { mu.Lock(); defer mu.Unlock(); return doubt })
		// Meanwhile partition 1 has something to publish.
		r.source.append(inputPartition(1), input[1][5:]...)
		time.Sleep(10 * time.Second)
		g.open()
		r.source.append(inputPartition(0), input[0][7:]...)
		sc.input = input
		r.untilFinished(r.log.inputs()...)
		r.stop()
		checkOutcome(t, sc, r.log, r.store)
	})
}

// A partition that cannot go on tells why, and the others do not notice.
func TestStoppedPartitionDisturbsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := immediate(3, 90)
		stopped := inputPartition(1)
		r := start(t, sc, func(r *running) { r.log.committed[stopped] = commit{7, "somebody else's"} })
		r.untilFinished(inputPartition(0), inputPartition(2))
		time.Sleep(time.Minute)
		for _, s := range r.pr.Status() {
			switch {
			case s.Input == stopped && (s.Ready || s.Stopped == nil || !strings.Contains(s.Stopped.Error(), "not written by nudged")):
				t.Errorf("status of the stopped one: %+v", s)
			case s.Input != stopped && (!s.Ready || s.Stopped != nil || s.Trouble != ""):
				t.Errorf("status of another: %+v", s)
			}
		}
		if c := r.log.committed[stopped]; c != (commit{7, "somebody else's"}) {
			t.Errorf("the stopped partition is committed as %v", c)
		}
		if err := r.pr.Finish(t.Context()); err != nil {
			t.Errorf("Finish: %v", err)
		}
		r.stop()
		for _, p := range []int32{0, 2} {
			if _, got := r.log.records(inputPartition(p)); !slices.Equal(got, sc.want[p]) {
				t.Errorf("partition %d: %d records, want %d", p, len(got), len(sc.want[p]))
			}
		}
	})
}

// While nothing can be published, memory stays bounded: a few batches wait, some
// records with them, and the rest is not fetched.
func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := immediate(1, 300)
		total := 0
		for i := range sc.input[0] {
			v := sc.input[0][i].Value
			head := strings.LastIndexByte(strings.TrimSuffix(string(v), "|0"), '|') + 1
			sc.input[0][i].Value = fmt.Appendf(nil, "%s%s|0", v[:head], strings.Repeat("0", 100_000))
			total += len(sc.input[0][i].Value)
		}
		g := &gate{}
		r := start(t, sc, func(r *running) {
			r.cfg.MaxEvent, r.cfg.BatchUsers, r.source.many = 1<<20, 10, 10
			real := r.cfg.Log
			r.cfg.Log = &scripted{Log: real, publish: func(pubs []*processor.Publication, really func() error) error {
				if hasRecords(pubs) {
					g.pass()
				}
				return really()
			}}
			g.close()
		})
		time.Sleep(time.Minute)
		r.source.mu.Lock()
		delivered, pauses := r.source.delivered, r.source.pauses
		r.source.mu.Unlock()
		if delivered > total/2 || pauses == 0 {
			t.Errorf("%d of %d bytes were delivered with %d pauses while nothing could be published", delivered, total, pauses)
		}
		if n := r.cfg.Counters.Batches.Load(); n < int64(r.cfg.OutboxLimit) || n > 2*int64(r.cfg.OutboxLimit) {
			t.Errorf("%d batches wait, the limit is %d", n, r.cfg.OutboxLimit)
		}
		g.open()
		r.untilFinished(inputPartition(0))
		r.stop()
		checkOutcome(t, sc, r.log, r.store)
	})
}

// The batches that are closed on the way through a delivery are published without
// waiting for another one.
func TestFullBatchesArePublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := immediate(1, 64)
		r := start(t, sc, func(r *running) { r.cfg.BatchUsers, r.cfg.OutboxLimit, r.source.many = 1, 2, 1 })
		r.untilFinished(inputPartition(0))
		r.stop()
		checkOutcome(t, sc, r.log, r.store)
	})
}

// Partitions that are assigned together are claimed by one transaction.
func TestClaimsAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		claims := 0
		r := start(t, immediate(8, 0), func(r *running) {
			real := r.cfg.Log
			r.cfg.Log = &scripted{Log: real, publish: func(_ []*processor.Publication, really func() error) error {
				claims++
				return really()
			}}
		})
		time.Sleep(10 * time.Second)
		r.stop()
		if claims != 1 {
			t.Errorf("%d transactions for 8 claims", claims)
		}
	})
}

// Two processes under one transactional id fence each other for ever: the process
// ends and says so, whether it meets the other when it publishes or when it claims.
func TestFencedProducerEndsTheProcess(t *testing.T) {
	for name, fenced := range map[string]func([]*processor.Publication) bool{
		"Publishing": hasRecords,
		"Claiming":   func([]*processor.Publication) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, immediate(2, 10), func(r *running) {
					real := r.cfg.Log
					r.cfg.Log = &scripted{Log: real, publish: func(pubs []*processor.Publication, really func() error) error {
						if fenced(pubs) {
							return processor.ErrProducerFenced
						}
						return really()
					}}
				})
				if err := <-r.ended; !errors.Is(err, processor.ErrProducerFenced) {
					t.Errorf("Run returned %v, want ErrProducerFenced", err)
				}
			})
		})
	}
}

// collecting is a sink that notes what it is told, and whether it was visible.
type collecting struct {
	log     *fakeLog
	told    []string
	unseen  int
	failing bool
}

func (c *collecting) Deliver(_ context.Context, commands []sinks.Record) error {
	for _, r := range commands {
		c.told = append(c.told, string(r.Value))
		c.log.mu.Lock()
		if !slices.ContainsFunc(c.log.visible, func(v sinks.Record) bool { return string(v.Value) == string(r.Value) && v.Topic == "sends" }) {
			c.unseen++
		}
		c.log.mu.Unlock()
	}
	if c.failing {
		return errors.New("the webhook is away")
	}
	return nil
}

// Sinks hear of commands, and of nothing else, once those are visible. One that
// fails does not hold up the others.
func TestSinksHearOfVisibleCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := immediate(1, 50)
		var bad, good *collecting
		r := start(t, sc, func(r *running) {
			bad, good = &collecting{log: r.log, failing: true}, &collecting{log: r.log}
			r.cfg.Sinks = []sinks.Sink{bad, good}
			r.source.many = 7
		})
		r.untilFinished(inputPartition(0))
		r.stop()
		var want []string
		for _, m := range sc.want[0] {
			if m.topic == "sends" {
				want = append(want, m.value)
			}
		}
		for name, s := range map[string]*collecting{"the one that fails": bad, "the other": good} {
			if !slices.Equal(s.told, want) || s.unseen > 0 {
				t.Errorf("%s was told of %d commands, %d of them not visible; want %d", name, len(s.told), s.unseen, len(want))
			}
		}
	})
}
