package processor

import (
	"container/heap"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nudged/nudged/rules"
)

// Timers in a replay: hints are followed and fire nothing. What is due waits for
// the evidence to tell what became of it.

// told sees to the timer index after the user's state was changed.
func (p *Partition) told(st *rules.State, user string, before int64, changed bool) {
	p.spend(st, p.clock)
	due, ok := st.NextDue(p.set)
	armed := false
	switch {
	case !ok:
	case due > p.clock:
		armed = p.rearm(st, user, before)
	default:
		// Due already. Should the replay end here, somebody has to look again.
		if p.promised() {
			st.DropTimerHint()
		}
		st.AddTimerHint(Second(due))
		p.armed = append(p.armed, dueEntry{due, strings.Clone(user)})
		heap.Push(&p.replay.overdue, dueEntry{Second(due), strings.Clone(user)})
		armed = true
	}
	if changed || armed {
		p.keep(user, armed)
	}
}

// decideUntold makes up for what is not told under "decisions: none", up to until:
// schedules start their runs again, and what was due and not sent is decided again.
// Nothing is emitted.
func (p *Partition) decideUntold(ctx context.Context, until int64) error {
	if p.cfg.Decisions != DecisionsNone {
		return nil
	}
	if err := p.startUntold(ctx, min(until, p.replay.k.Sweep.Done)); err != nil {
		return err
	}
	return p.decideDue(ctx, until)
}

// startUntold starts again what schedules have started by until.
func (p *Partition) startUntold(ctx context.Context, until int64) error {
	if p.cfg.Decisions != DecisionsNone {
		return nil
	}
	s := &p.sweep
	if s.Done == 0 {
		s.Done = until // before the first event nobody was known
	}
	for s.Done < until {
		occurring, at, ok := p.set.NextSchedule(s.Done)
		if !ok || at > until {
			s.Done = until
			break
		}
		if err := p.decideDue(ctx, at); err != nil {
			return err
		}
		if err := p.startAgain(ctx, occurring, at); err != nil {
			return err
		}
		s.Sweep = Sweep{Done: at, Rules: s.Rules}
	}
	return nil
}

// startAgain starts an occurrence again for everybody of whom no send is told. On
// the event clock they are those who had it then; on the wall clock, where it is
// not known before which events that was, nearly so.
func (p *Partition) startAgain(ctx context.Context, occurring []*rules.Rule, at int64) error {
	known := map[string]bool{}
	for n, of := 0, 1; n < of; n++ {
		list, all, err := p.slice(ctx, n)
		if err != nil {
			return err
		}
		of = all
		for _, u := range list {
			known[u] = true
		}
	}
	p.book.eachChanged(func(user string, _ []byte) { known[user] = true }) // not in the store yet
	for _, user := range slices.Sorted(maps.Keys(known)) {
		st, err := p.state(ctx, user)
		if err != nil {
			return err
		}
		if p.at == nowhere || len(p.book.use(p.at)) == 0 {
			continue
		}
		before, _ := st.NextDue(p.set)
		changed := false
		for _, r := range occurring {
			p.result.Reset()
			p.set.Step(st, user, rules.Input{Sweep: r, Until: at, Replay: true, Partition: p.input.Partition}, &p.result)
			changed = changed || p.result.Changed
		}
		if changed {
			p.told(st, user, before, true)
		}
	}
	return nil
}

// decideDue decides again what was due by until. On the event clock everything is
// as it was then, so it comes out the same. On the wall clock it is not known when
// that was: it waits for the end of the replay.
func (p *Partition) decideDue(ctx context.Context, until int64) error {
	if !p.cfg.EventClock {
		return nil
	}
	for {
		_, ok, err := p.firstOverdue(ctx)
		if err != nil || !ok {
			return err
		}
		user := p.replay.overdue[0].user
		st, err := p.state(ctx, user)
		if err != nil {
			return err
		}
		due, _ := st.NextDue(p.set)
		if due > until {
			return nil
		}
		p.result.Reset()
		p.set.Step(st, user, rules.Input{Until: due}, &p.result)
		heap.Pop(&p.replay.overdue)
		p.told(st, user, due, true)
	}
}

// passTo moves the clock without firing anything. Hints that come up are followed:
// what they lead to is overdue until the evidence tells of it.
func (p *Partition) passTo(ctx context.Context, to int64) error {
	if to <= p.clock {
		return nil
	}
	for {
		d, ok, err := p.hint(ctx, to)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		p.clock = max(p.clock, d.at)
		st, err := p.state(ctx, d.user)
		if err != nil {
			return err
		}
		due, ok := st.NextDue(p.set)
		switch {
		case !ok:
		case due <= to:
			heap.Push(&p.replay.overdue, dueEntry{min(d.at, Second(due)), d.user})
		case Second(due) == Second(d.at):
			p.timers.push(due, d.user)
		default:
			p.spend(st, d.at)
			if p.rearm(st, d.user, -1) {
				p.keep(d.user, true)
			}
		}
	}
	p.clock = to
	return nil
}

// firstOverdue returns the earliest hint of what is due and not told yet.
func (p *Partition) firstOverdue(ctx context.Context) (at int64, ok bool, err error) {
	o := &p.replay.overdue
	for len(*o) > 0 {
		st, err := p.state(ctx, (*o)[0].user)
		if err != nil {
			return 0, false, err
		}
		if due, ok := st.NextDue(p.set); ok && due <= p.clock {
			return (*o)[0].at, true, nil
		}
		heap.Pop(o)
	}
	return 0, false, nil
}

// endUntold ends what was due by the clock and of which nothing is told: where
// evidence may be missing, it may have been sent.
func (p *Partition) endUntold(ctx context.Context) error {
	for {
		_, ok, err := p.firstOverdue(ctx)
		if err != nil || !ok {
			return err
		}
		user := p.replay.overdue[0].user
		st, err := p.state(ctx, user)
		if err != nil {
			return err
		}
		var ended []rules.Decided
		for _, in := range st.Instances() {
			if in.Due <= p.clock {
				ended = append(ended, rules.Decided{
					Rule: in.RuleName(p.set), Instance: strings.Clone(in.Key),
					TriggerID: strings.Clone(in.Trigger.ID), Outcome: rules.Cancelled, Due: in.Due, At: p.clock,
				})
			}
		}
		before, _ := st.NextDue(p.set)
		p.result.Reset()
		p.set.Step(st, user, rules.Input{Until: p.clock, Fired: p.clock, Replay: true, Decided: ended}, &p.result)
		heap.Pop(&p.replay.overdue)
		p.told(st, user, before, p.result.Changed)
		if due, ok := st.NextDue(p.set); ok && due <= p.clock {
			return p.stop(fmt.Sprintf("what %s had due at %d cannot be ended", Hidden(user), due))
		}
		p.count.untold += int64(len(ended))
	}
}
