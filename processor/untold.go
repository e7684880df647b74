package processor

import (
	"container/heap"
	"context"
	"fmt"
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
		st.AddTimerHint(second(due))
		p.armed = append(p.armed, dueEntry{due, strings.Clone(user)})
		heap.Push(&p.replay.overdue, dueEntry{second(due), strings.Clone(user)})
		armed = true
	}
	if changed || armed {
		p.keep(user, armed)
	}
}

// decideUntold decides again what was due by until and not sent, under "decisions:
// none": on the event clock everything is as it was then, so it comes out the same.
// Nothing is emitted. On the wall clock it is not known when that was.
func (p *Partition) decideUntold(ctx context.Context, until int64) error {
	if !p.cfg.EventClock || p.cfg.Decisions != DecisionsNone {
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
			heap.Push(&p.replay.overdue, dueEntry{min(d.at, second(due)), d.user})
		case second(due) == second(d.at):
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
				ended = append(ended, rules.Decided{Rule: in.RuleName(p.set), Instance: strings.Clone(in.Key),
					TriggerID: strings.Clone(in.Trigger.ID), Outcome: rules.Cancelled, Due: in.Due, At: p.clock})
			}
		}
		before, _ := st.NextDue(p.set)
		p.result.Reset()
		p.set.Step(st, user, rules.Input{Until: p.clock, Fired: p.clock, Replay: true, Decided: ended}, &p.result)
		heap.Pop(&p.replay.overdue)
		p.told(st, user, before, p.result.Changed)
		if due, ok := st.NextDue(p.set); ok && due <= p.clock {
			return p.stop(fmt.Sprintf("what user %q had due at %d cannot be ended", user, due))
		}
		p.count.untold += int64(len(ended))
	}
}
