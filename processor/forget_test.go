package processor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/memory"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/sinks"
)

// mentions says where a store has something of a user.
func mentions(t failer, store *memory.Store, tp processor.TopicPartition, user string) (where []string) {
	t.Helper()
	ctx := context.Background()
	var copied memory.Store
	copied.Restore(store.Snapshot())
	r, err := copied.Peek(ctx, tp)
	if err != nil || r == nil {
		t.Fatalf("peek: %v, %v", r, err)
	}
	claimed, err := copied.Claim(ctx, tp, processor.Claim{ID: r.ID, Epoch: r.Epoch + 1})
	blobs, serr := copied.States(ctx, tp, processor.Fence{}, []string{user})
	if err := errors.Join(err, serr); err != nil {
		t.Fatalf("look into the store: %v", err)
	}
	if blobs[0] != nil {
		where = append(where, "state")
	}
	for _, b := range claimed.Buckets {
		entries, err := copied.Timers(ctx, tp, processor.Fence{}, b, 0, 1<<20)
		if err != nil {
			t.Fatalf("timers: %v", err)
		}
		for _, e := range entries {
			if e.User == user {
				where = append(where, fmt.Sprint("timer at ", e.At))
			}
		}
	}
	for _, o := range claimed.Outbox {
		err := processor.EachRecord(o.Records, func(r *sinks.Record) error {
			if string(r.Key) == user {
				where = append(where, fmt.Sprint("outbox ", o.Seq))
			}
			return nil
		})
		if err != nil {
			t.Fatalf("outbox: %v", err)
		}
	}
	return where
}

// forgetScenario has a user whose instance moved twice: its entries are in three
// buckets, one of them far.
func forgetScenario() *scenario {
	moves := after(8*hour, "a")
	moves.Restart = true
	sc := one(theRules(moves, after(10*mins, "b"), atOnce("d")))
	for i, e := range []event{eventAt(sec, "a", "gone"), eventAt(2*sec, "a", "stays"), eventAt(3*sec, "b", "gone"), eventAt(4*sec, "d", "gone")} {
		e.id = fmt.Sprint("e", i)
		sc.add(e, 0)
	}
	return sc
}

// A user who is forgotten is nowhere any more: not in the store, not in the memory of
// the partition, not in the outbox once it is published. What was pending is not
// sent, what others have is.
func TestForgetLeavesNothing(t *testing.T) {
	for _, flushed := range []bool{false, true} {
		sc := forgetScenario()
		sc.forget("gone", 5*sec)
		s := newStand(t, sc, nil)
		tp := inputPartition(0)
		part := s.claim(tp)
		s.consume(part, sc.input[0][:4])
		if flushed {
			s.flush(part)
			if m := mentions(t, s.store, tp, "gone"); len(m) < 4 || part.Remembers("gone") == nil {
				t.Fatalf("before it is in %v: the test forgets nothing", m)
			}
		}
		s.consume(part, sc.input[0][4:])
		s.flush(part)
		if m := mentions(t, s.store, tp, "gone"); slices.ContainsFunc(m, func(w string) bool { return !strings.HasPrefix(w, "outbox") }) || len(m) == 0 {
			t.Errorf("flushed %v: before it is published the user is in %v", flushed, m)
		}
		s.trim(part)
		if m := mentions(t, s.store, tp, "gone"); len(m) == 0 {
			t.Error("the outbox was trimmed before it was published")
		}
		s.publish()
		s.trim(part)
		if m := mentions(t, s.store, tp, "gone"); len(m) > 0 {
			t.Errorf("flushed %v: the user is still in %v", flushed, m)
		}
		if w := part.Remembers("gone"); w != nil {
			t.Errorf("flushed %v: the partition has the user in %v", flushed, w)
		}
		if m := mentions(t, s.store, tp, "stays"); len(m) != 2 {
			t.Errorf("the other user is in %v, want a state and a timer", m)
		}
		if n := s.cfg.Counters.Forgotten.Load(); n != 1 {
			t.Errorf("%d forgotten, want 1", n)
		}
		// The clock passes everything; then the user comes back.
		sc.add(eventAt(20*hour, "a", "other"), 0)
		sc.add(eventAt(20*hour+sec, "b", "gone"), 0)
		sc.add(eventAt(30*hour, "a", "other"), 0)
		s.consume(part, sc.input[0])
		s.flush(part)
		s.publish()
		checkOutcome(t, sc, s.log, s.store)
		expectTold(t, s, "rule_2 gone sent 1970-01-01T00:00:04Z", " gone forgotten 1970-01-01T00:00:05Z", "rule_0 stays sent 1970-01-01T08:00:02Z",
			"rule_1 gone sent 1970-01-01T20:10:01Z", "rule_0 other sent 1970-01-02T04:00:00Z")
	}
}

// The owner after a crash trims what the one before had published.
func TestForgetIsFinishedByTheNextOwner(t *testing.T) {
	sc := forgetScenario()
	sc.forget("gone", 5*sec)
	s := newStand(t, sc, nil)
	tp := inputPartition(0)
	part := s.claim(tp)
	s.consume(part, sc.input[0])
	s.flush(part)
	s.publish()
	if m := mentions(t, s.store, tp, "gone"); len(m) == 0 {
		t.Fatal("nothing is left to trim")
	}
	s.trim(s.claim(tp))
	if m := mentions(t, s.store, tp, "gone"); len(m) > 0 {
		t.Errorf("the user is still in %v", m)
	}
}

// A rebuild comes past the order, and does not bring the user back.
func TestForgetSurvivesARebuild(t *testing.T) {
	sc := forgetScenario()
	sc.forget("gone", 5*sec)
	s := newStand(t, sc, nil)
	tp := inputPartition(0)
	part := s.claim(tp)
	s.consume(part, sc.input[0])
	s.flush(part)
	s.publish()
	s.store.Clear()
	part = s.claim(tp)
	s.consume(part, sc.input[0])
	if m := mentions(t, s.store, tp, "gone"); len(m) > 0 || part.Replaying() {
		t.Errorf("the user is in %v, replaying %v", m, part.Replaying())
	}
	if m := mentions(t, s.store, tp, "stays"); len(m) != 2 {
		t.Errorf("the other user is in %v, want a state and a timer", m)
	}
}

// Where the order and what came before are not in the input any more, the evidence
// tells of both.
func TestForgetIsToldByTheEvidence(t *testing.T) {
	cooling := atOnce("a")
	cooling.Cooldown = 100 * hour
	sc := one(theRules(cooling))
	sc.add(eventAt(sec, "a", "gone"), 0)
	sc.add(eventAt(sec, "a", "stays"), 0)
	sc.forget("gone", 5*sec)
	sc.add(eventAt(9*sec, "b", "other"), 0)
	s := newStand(t, sc, func(c *processor.Config) { c.AcceptStateLoss = true })
	tp := inputPartition(0)
	part := s.claim(tp)
	s.consume(part, sc.input[0])
	s.flush(part)
	s.publish()
	s.store.Clear()
	s.log.starts[tp] = 3
	part = s.claim(tp)
	s.consume(part, sc.input[0][3:])
	if part.Replaying() {
		t.Fatal("the replay has not ended")
	}
	if m := mentions(t, s.store, tp, "gone"); len(m) > 0 {
		t.Errorf("the user is in %v", m)
	}
	if m := mentions(t, s.store, tp, "stays"); !slices.Equal(m, []string{"state"}) {
		t.Errorf("the other user is in %v, want a state: the evidence tells of a cooldown", m)
	}
}

// An order that names nobody is a dead letter, and a value makes it none.
func TestForgetOrders(t *testing.T) {
	sc := one(theRules(atOnce("a")))
	order := []sinks.Header{{Key: processor.ForgetHeader}}
	sc.input[0] = []processor.Record{
		{Offset: 0, Headers: order},
		{Offset: 1, Headers: order, Key: []byte(strings.Repeat("u", rules.MaxUserLen+1))},
		{Offset: 2, Headers: order, Key: []byte("u"), Value: eventAt(sec, "a", "u").value()},
		{Offset: 3, Headers: order, Key: []byte("u"), Control: true},
	}
	sc.dead[0] = []int64{0, 1}
	s := newStand(t, sc, nil)
	part := s.claim(inputPartition(0))
	s.consume(part, sc.input[0])
	s.flush(part)
	s.publish()
	expectTold(t, s, "rule_0 u sent 1970-01-01T00:00:01Z")
	want := []string{
		"0: an order to forget a user has the user as its key, this one has none",
		fmt.Sprintf("1: the user to be forgotten has %d bytes, at most %d are taken", rules.MaxUserLen+1, rules.MaxUserLen),
	}
	if got := s.log.deadLetters(inputPartition(0)); !slices.Equal(got, want) {
		t.Errorf("dead letters %q, want %q", got, want)
	}
}

// trim is what an idle partition does.
func (s *stand) trim(p *processor.Partition) {
	s.t.Helper()
	if err := p.Trim(context.Background()); err != nil {
		s.t.Fatalf("trim: %v", err)
	}
}
