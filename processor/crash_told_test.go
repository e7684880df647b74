package processor_test

import (
	"bytes"
	"context"
	"math"
	"slices"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/sinks"
)

// teller works out what the rules say of a history that went as the visible
// records of a partition tell: in which place, and at which reading of the clock.
type teller struct {
	w      *world
	tp     processor.TopicPartition
	marks  []processor.Mark
	got    []message
	next   int // record
	offset int64
	states map[string]*rules.State
}

// checkTold fails unless the visible records are what the rules say, one by one,
// and nothing is left that was due.
func (w *world) checkTold(tp processor.TopicPartition) {
	w.t.Helper()
	c := &teller{w: w, tp: tp, states: map[string]*rules.State{}}
	c.marks, c.got = w.log.records(tp)
	for c.next < len(c.got) {
		m := c.marks[c.next]
		if m.Cause == processor.ByEvent {
			c.events(m.Position + 1)
			continue
		}
		c.events(m.Position)
		if c.next < len(c.got) && c.marks[c.next] == m {
			c.fire(m)
		}
	}
	c.events(int64(len(w.sc.input[tp.Partition])))
	r, err := w.store.Peek(context.Background(), tp)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	for user, st := range c.states {
		if due, ok := st.NextDue(w.sc.set); ok && due <= r.Clock {
			w.t.Fatalf("%s: %s had something due at %d, the clock stands at %d", tp, user, due, r.Clock)
		}
		c.compare(user, st)
	}
}

// events applies the events up to the offset.
func (c *teller) events(to int64) {
	for ; c.offset < to; c.offset++ {
		if user, ok := c.w.sc.orders[c.tp.Partition][c.offset]; ok {
			c.forget(user)
			continue
		}
		ev := c.w.sc.events[c.tp.Partition][c.offset]
		if ev == nil || !c.w.sc.set.Reads(ev) {
			continue
		}
		c.step(ev.User, rules.Input{Event: ev})
	}
}

// forget applies an order to forget a user.
func (c *teller) forget(user string) {
	st := c.states[user]
	if st == nil {
		st = &rules.State{}
	}
	delete(c.states, user)
	d := rules.Forget(st, user, c.tp.Partition, c.offset, c.w.sc.input[c.tp.Partition][c.offset].Timestamp)
	origin := sinks.Origin{Topic: inputTopic, RulesVersion: c.w.sc.set.Version}
	c.expect(message{"decisions", user, string(sinks.AppendDecision(nil, &d, origin))})
}

// fire applies what the clock did to one user at the mark.
func (c *teller) fire(m processor.Mark) {
	user, until := c.got[c.next].key, int64(0)
	for i := c.next; i < len(c.got); i++ {
		o := c.marks[i]
		if o.Cause != m.Cause || o.Position != m.Position || o.Clock != m.Clock || c.got[i].key != user {
			break
		}
		e, err := sinks.ParseEvidence([]byte(c.got[i].value))
		if err != nil {
			c.w.t.Fatalf("%v", err)
		}
		until = max(until, e.Decided.Due)
	}
	before := c.next
	c.step(user, rules.Input{Until: until, Fired: m.Clock})
	if c.next == before {
		c.w.t.Fatalf("%s: record %d is %s, and nothing was due", c.tp, c.next, c.got[c.next])
	}
}

// step compares what comes of an input with the next records.
func (c *teller) step(user string, in rules.Input) {
	st := c.states[user]
	if st == nil {
		st = &rules.State{}
		c.states[user] = st
	}
	sc := c.w.sc
	result := rules.Result{Verbose: sc.level == processor.DecisionsAll}
	sc.set.Step(st, user, in, &result)
	defer func() { // what is kept is what is stored
		kept := st.Append(nil, sc.set)
		if err := st.Decode(kept); err != nil {
			c.w.t.Fatalf("%v", err)
		}
	}()
	origin := sinks.Origin{Topic: inputTopic, RulesVersion: sc.set.Version}
	for i := range result.Decisions {
		d := &result.Decisions[i]
		if d.Outcome == rules.Sent {
			c.expect(message{"sends", user, string(sinks.AppendCommand(nil, d, origin))})
		}
		if !d.Verbose || sc.level == processor.DecisionsAll {
			c.expect(message{"decisions", user, string(sinks.AppendDecision(nil, d, origin))})
		}
	}
}

func (c *teller) expect(want message) {
	if c.next >= len(c.got) || c.got[c.next] != want {
		c.w.t.Fatalf("%s: record %d is\n%s\nby the rules it is\n%s\n%s", c.tp, c.next, at(c.got, c.next), want, c.w.where())
	}
	c.next++
}

// compare holds a user's stored state against the one worked out.
func (c *teller) compare(user string, want *rules.State) {
	c.w.compareState(c.tp, user, c.w.stateOf(c.w.store, c.tp, user), want)
}

// stateOf reads a state from a store; nil if there is none.
func (w *world) stateOf(store processor.Store, tp processor.TopicPartition, user string) *rules.State {
	blobs, err := store.States(context.Background(), tp, processor.Fence{}, []string{user})
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	st := &rules.State{}
	if len(blobs[0]) > 0 {
		if err := st.Decode(blobs[0]); err != nil {
			w.t.Fatalf("%v", err)
		}
	}
	return st
}

func (w *world) compareState(tp processor.TopicPartition, user string, got, want *rules.State) {
	got.SpendTimerHints(math.MaxInt64)
	want.SpendTimerHints(math.MaxInt64)
	a, b := got.Append(nil, w.sc.set), want.Append(nil, w.sc.set)
	if w.sc.level == processor.DecisionsNone {
		// What was not sent is decided again, in another order than then: lists of
		// what belongs to rules come out in another order, too.
		slices.Sort(a)
		slices.Sort(b)
	}
	if !bytes.Equal(a, b) {
		w.t.Fatalf("%s: the state of %s in the store is\n%+v\nby what is visible it is\n%+v\n%s\nlevel %v\n%s", tp, user, got, want, w.where(), w.sc.level, w.sc.text)
	}
}

// checkStates holds the stored states against those of a process that nothing has
// ever happened to.
func (w *world) checkStates() {
	w.t.Helper()
	s := newStand(w.t, w.sc, nil)
	for p, users := range w.sc.users {
		tp := inputPartition(int32(p))
		part := s.claim(tp)
		s.consume(part, w.sc.input[p])
		s.flush(part)
		for _, u := range users {
			w.compareState(tp, u, w.stateOf(w.store, tp, u), w.stateOf(s.store, tp, u))
		}
	}
}
