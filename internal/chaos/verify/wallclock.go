package verify

import (
	"fmt"
	"slices"
	"time"
)

// WallClock holds what is visible against the model: partition by partition it goes
// through events and firings in the order in which they were decided. Which moment a
// timer fired at is taken from the records; whether it might, at that moment, and
// what had to come of it, is not. ahead says by how much the clock of a process that
// read so much, ms, may have been ahead of ours.
func WallClock(t *Topics, inputs []Input, outputs []Output, dead []DeadLetter, ahead func(clock int64) int64) *Findings {
	f := &Findings{}
	parts := read(t, inputs, outputs, f)
	checkDead(parts, dead, f)
	for p := range parts {
		h := &parts[p]
		h.records = checkChain(t, int32(p), h.records, f)
		checkCommands(h.records, f)
		checkClock(h, ahead, f)
		w := &walk{f: f, users: map[string]*modelUser{}, inputs: h.inputs}
		w.run(h.records)
	}
	return f
}

// checkClock proves the rule of the wall clock: it moved to a time only once every
// record that the partition held at that time had been applied.
func checkClock(h *history, ahead func(int64) int64, f *Findings) {
	// By offset: the earliest moment at which a record at or behind it was known to
	// be there.
	known := make([]int64, len(h.inputs)+1)
	known[len(h.inputs)] = 1 << 62
	for i := len(h.inputs) - 1; i >= 0; i-- {
		known[i] = known[i+1]
		if at := h.inputs[i].Acked; at > 0 {
			known[i] = min(known[i], at)
		}
	}
	next := 0
	for _, r := range h.records {
		for next < len(h.inputs) && h.inputs[next].Offset < r.decidedBefore {
			next++
		}
		if !r.byEvent && known[next] < r.clock-ahead(r.clock) {
			f.problem("%s: the clock was at %s before offset %d had been applied, which was there at %s: %s", r.place(),
				milli(r.clock), h.inputs[next].Offset, milli(known[next]), r.what())
		}
		if !r.byEvent && (r.Due.UnixMilli() > r.clock || r.Fired.UnixMilli() != r.clock) {
			f.problem("%s: fired at clock %s: %s", r.place(), milli(r.clock), r.what())
		}
	}
}

func milli(ms int64) string { return time.UnixMilli(ms).UTC().Format("15:04:05.000") }

// walk goes through the history of one input partition.
type walk struct {
	f      *Findings
	users  map[string]*modelUser
	inputs []input
	next   int // the first input that has not been applied
}

func (w *walk) user(name string) *modelUser {
	u := w.users[name]
	if u == nil {
		u = &modelUser{name: name, lastSent: map[string]int64{}}
		w.users[name] = u
	}
	return u
}

func (w *walk) run(records []*record) {
	for len(records) > 0 {
		r := records[0]
		if !r.byEvent {
			w.applyUntil(r.position)
			w.fired(r)
			records = records[1:]
			continue
		}
		w.applyUntil(r.position)
		n := 1
		for n < len(records) && records[n].byEvent && records[n].position == r.position {
			n++
		}
		w.applyWith(records[:n])
		records = records[n:]
	}
	w.applyUntil(1 << 62)
	for _, u := range w.users {
		for _, in := range u.pending {
			w.lost(u, in.outcome("nothing", in.due))
		}
	}
}

// applyUntil applies the events below an offset, of which nothing is to come.
func (w *walk) applyUntil(offset int64) {
	for w.next < len(w.inputs) && w.inputs[w.next].Offset < offset {
		w.apply(nil)
	}
}

// applyWith applies an event and compares what came of it.
func (w *walk) applyWith(records []*record) {
	offset := records[0].position
	if w.next >= len(w.inputs) || w.inputs[w.next].Offset != offset {
		w.f.Extra += len(records)
		w.f.problem("%s: there is no event at offset %d: %s", records[0].place(), offset, records[0].what())
		return
	}
	w.apply(records)
}

// apply applies the next input.
func (w *walk) apply(records []*record) {
	in := &w.inputs[w.next]
	w.next++
	var want []outcome
	user := ""
	if !in.bad {
		user = in.event.User
		want = w.user(user).apply(&in.event)
	}
	for _, o := range want {
		if o.decision == "sent" {
			w.f.Owed++
		}
	}
	for _, r := range records {
		if r.Send {
			continue // beside its decision
		}
		i := slices.IndexFunc(want, func(o outcome) bool { return difference(user, o, r) == "" })
		if i < 0 {
			w.f.Extra++
			w.f.problem("%s: event %s at offset %d brings about %v, not this: %s", r.place(), in.event.ID, in.Offset, want, r.what())
			continue
		}
		want = slices.Delete(want, i, i+1)
	}
	for _, o := range want {
		w.lost(w.user(user), o)
	}
}

func (w *walk) lost(u *modelUser, o outcome) {
	if o.decision == "nothing" {
		w.f.Owed++
	}
	w.f.Lost++
	w.f.problem("user %s: %s/%s step %d, started by %s, due %s: %q is owed and not visible", u.name, o.rule, o.key, o.step, o.trigger, milli(o.due), o.decision)
}

// fired compares a firing by the clock with what the model fires there.
func (w *walk) fired(r *record) {
	if r.Send {
		return // beside its decision
	}
	u := w.user(r.User)
	i := u.find(r.Rule, r.Instance)
	if i < 0 {
		w.f.Extra++
		w.f.problem("%s: nothing is pending there: %s", r.place(), r.what())
		return
	}
	in := u.pending[i]
	if first := u.nextDue(); first.due < in.due {
		w.f.problem("%s: %s/%s, due %s, ought to have come first: %s", r.place(), first.rule, first.key, milli(first.due), r.what())
	}
	o := u.fire(in, r.clock)
	if o.decision == "sent" {
		w.f.Owed++
	}
	if d := difference(u.name, o, r); d != "" {
		w.f.Extra++
		w.f.Lost++
		w.f.problem("%s: %s: %s", r.place(), d, r.what())
	}
}

// difference says in what a decision is not the outcome expected.
func difference(user string, o outcome, r *record) string {
	for _, c := range []struct {
		what      string
		want, got any
	}{
		{"user", user, r.User},
		{"decision", o.decision, r.Decision},
		{"rule", o.rule, r.Rule},
		{"instance", o.key, r.Instance},
		{"step", o.step, r.Step},
		{"trigger", o.trigger, r.Trigger.ID},
		{"due", milli(o.due), milli(r.Due.UnixMilli())},
		{"fired", milli(o.at), milli(r.Fired.UnixMilli())},
		{"arm", o.arm, r.Arm},
		{"again", o.again, r.Again},
	} {
		if c.want != c.got {
			return fmt.Sprintf("%s is %v, expected %v", c.what, c.got, c.want)
		}
	}
	return ""
}
