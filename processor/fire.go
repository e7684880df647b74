package processor

import (
	"context"
	"strings"

	"github.com/nudged/nudged/rules"
)

// second rounds a time down to a whole second, the grain of the timer index.
func second(ms int64) int64 { return ms - mod(ms, 1000) }

// reach loads the timer buckets that begin at or below horizon.
func (p *Partition) reach(ctx context.Context, horizon int64) error {
	t := p.timers
	for _, b := range t.toLoad(horizon) {
		var entries []TimerEntry
		err := p.retry(ctx, "load timers", func() (err error) {
			entries, err = p.cfg.Store.Timers(ctx, p.input, b)
			return err
		})
		if err != nil {
			return err
		}
		t.buckets[b] = true
		for _, e := range entries {
			// What came up before the last write was followed then.
			if e.At+1000 > p.head.Clock && !p.forgotten.users[e.User] {
				t.push(e.At, e.User)
			}
		}
	}
	if horizon <= t.horizon {
		return nil
	}
	before := t.horizon
	t.horizon = horizon
	// Instances armed in the open batch are in no bucket yet.
	if minute(horizon) != minute(before) {
		for _, a := range p.armed {
			if start := BucketFor(second(a.at), p.clock).Start; start > before && start <= horizon {
				t.push(a.at, a.user)
			}
		}
	}
	return nil
}

// rearm sees to it that the user is looked at when the next instance is due. An
// index entry that comes up earlier will do: instances that move later write
// nothing until then. before is what was due next until now. It returns whether
// the index needs a new entry.
func (p *Partition) rearm(st *rules.State, user string, before int64) (armed bool) {
	due, ok := st.NextDue(p.set)
	if !ok {
		return false
	}
	if h := st.TimerHint(); h > p.clock && h <= due {
		if h == second(due) && due != before {
			// The entry names the second, what is in the heap may be later in it.
			p.expect(due, user)
		}
		return false
	}
	st.SetTimerHint(second(due))
	p.expect(due, user)
	return true
}

// expect has the user looked at when the clock reaches due.
func (p *Partition) expect(due int64, user string) {
	a := dueEntry{due, strings.Clone(user)}
	p.armed = append(p.armed, a)
	if BucketFor(second(due), p.clock).Start <= p.timers.horizon {
		p.timers.push(a.at, a.user)
	}
}

// lookahead is how far ahead of the wall clock buckets are loaded, ms, so that
// what is due early in one does not wait for the next look at the clock.
const lookahead = 2_000

// MoveClock moves the clock to now and fires what is due by then, each at now.
// It fires at most limit users, the clock then stands where it got to; more says
// that there are more to fire.
func (p *Partition) MoveClock(ctx context.Context, now int64, limit int) (more bool, err error) {
	if now <= p.clock && p.sweep.At == 0 {
		return false, nil
	}
	for p.occursBy(now) {
		if p.sweep.At == 0 {
			at := p.nextOccurrence()
			if more, err := p.moveTimers(ctx, at, now, limit); more || err != nil {
				return more, err
			}
			if err := p.beginSweep(ctx, at); err != nil {
				return false, err
			}
		}
		p.superseded(now)
		for p.sweep.At != 0 {
			if limit <= 0 {
				return true, nil
			}
			users, err := p.sweepSlice(ctx, now)
			if err != nil {
				return false, err
			}
			limit -= max(users, 1)
		}
	}
	return p.moveTimers(ctx, now, now, max(limit, 1))
}

// moveTimers moves the clock to until and fires what is due by then, at now.
func (p *Partition) moveTimers(ctx context.Context, until, now int64, limit int) (more bool, err error) {
	if until <= p.clock {
		return false, nil
	}
	if err := p.reach(ctx, until+lookahead); err != nil {
		return false, err
	}
	p.wantDue(until)
	if err := p.load(ctx); err != nil {
		return false, err
	}
	for range limit {
		d, ok := p.timers.pop(until)
		if !ok {
			p.clock = until
			return false, nil
		}
		if err := p.look(ctx, d, now); err != nil {
			return false, err
		}
	}
	if next, ok := p.timers.next(); ok && next <= until {
		// Everything due before next has fired.
		p.clock = max(p.clock, next-1)
		return true, nil
	}
	p.clock = until
	return false, nil
}

// wantDue asks for the states of users whose hints come up by until.
func (p *Partition) wantDue(until int64) {
	if next, ok := p.timers.next(); !ok || next > until {
		return
	}
	for _, d := range p.timers.due {
		if d.at <= until && len(p.missing) < 2*chunk {
			p.want(d.user)
		}
	}
}

// fireUntil fires what is due by until. On the event clock, which passes through
// every due time on its way, each fires on time.
func (p *Partition) fireUntil(ctx context.Context, until int64) error {
	for {
		d, ok := p.timers.pop(until)
		if !ok {
			return nil
		}
		fired := p.clock
		if p.cfg.EventClock {
			fired = 0
		}
		if err := p.look(ctx, d, fired); err != nil {
			return err
		}
		// Not while something that a late event has armed is overdue: whoever opens
		// the partition next does not look back behind the clock.
		if next, ok := p.timers.next(); p.full() && (!ok || next >= p.clock) {
			if err := p.Flush(ctx); err != nil {
				return err
			}
		}
	}
}

// look follows a hint: it fires what the user has due at the hint's time.
// fired is the clock's reading, 0 for on time.
func (p *Partition) look(ctx context.Context, d dueEntry, fired int64) error {
	p.obs.begin()
	st, err := p.state(ctx, d.user)
	if err != nil {
		p.timers.push(d.at, d.user)
		return err
	}
	if p.cfg.EventClock {
		p.clock = max(p.clock, d.at)
	}
	due, ok := st.NextDue(p.set)
	if !ok {
		return nil
	}
	changed := false
	if due <= d.at {
		p.result.Reset()
		p.set.Step(st, d.user, rules.Input{Until: d.at, Fired: fired}, &p.result)
		p.count.fired++
		changed = p.take(ByTimer, p.offset, max(p.clock, fired))
		due, ok = st.NextDue(p.set)
	}
	if st.TimerHint() <= d.at {
		st.SetTimerHint(0) // spent, whatever the clock says
	}
	armed := false
	switch {
	case !ok:
	case second(due) == second(d.at):
		// The index entry was for this second: the heap will do. After a crash
		// the entry is followed again.
		p.timers.push(due, d.user)
	default:
		armed = p.rearm(st, d.user, due)
	}
	if changed || armed {
		p.keep(d.user, armed)
	}
	return nil
}
