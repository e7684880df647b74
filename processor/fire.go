package processor

import (
	"context"

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
			if e.At+1000 > p.head.Clock {
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
	if horizon/MinuteBucket != before/MinuteBucket {
		for _, e := range p.working {
			if e.index {
				p.pushPending(e)
			}
		}
	}
	return nil
}

// pushPending puts the user's next due time into the heap if it lies within the
// horizon.
func (p *Partition) pushPending(e *entry) {
	due, ok := e.st.NextDue()
	if ok && e.heap != due && bucketFor(second(due), p.clock).Start <= p.timers.horizon {
		p.timers.push(due, e.user)
		e.heap = due
	}
}

// rearm sees to it that the user is looked at when the next instance is due. An
// index entry that comes up earlier will do: instances that move later write
// nothing until then.
func (p *Partition) rearm(e *entry) {
	due, ok := e.st.NextDue()
	if !ok || e.heap == due {
		return
	}
	if h := e.st.TimerHint(); h > p.clock && h <= due {
		return
	}
	e.index, e.dirty, p.wrote = true, true, true
	p.pushPending(e)
}

// lookahead is how far ahead of the wall clock buckets are loaded, ms, so that
// what is due early in one does not wait for the next look at the clock.
const lookahead = 2_000

// MoveClock moves the clock to now and fires what is due by then, each at now.
// It fires at most limit users, the clock then stands where it got to; more says
// that there are more to fire.
func (p *Partition) MoveClock(ctx context.Context, now int64, limit int) (more bool, err error) {
	if now <= p.clock {
		return false, nil
	}
	if err := p.reach(ctx, now+lookahead); err != nil {
		return false, err
	}
	for range limit {
		d, ok := p.timers.pop(now)
		if !ok {
			p.clock = now
			return false, nil
		}
		if err := p.look(ctx, d, now); err != nil {
			return false, err
		}
	}
	if next, ok := p.timers.next(); ok && next <= now {
		// Everything due before next has fired.
		p.clock = max(p.clock, next-1)
		return true, nil
	}
	p.clock = now
	return false, nil
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
		if p.full() {
			if err := p.Flush(ctx); err != nil {
				return err
			}
		}
	}
}

// look follows a hint: it fires what the user has due at the hint's time.
// fired is the clock's reading, 0 for on time.
func (p *Partition) look(ctx context.Context, d dueEntry, fired int64) error {
	e, err := p.entry(ctx, d.user)
	if err != nil {
		p.timers.push(d.at, d.user)
		return err
	}
	if e.heap == d.at {
		e.heap = 0
	}
	if p.cfg.EventClock {
		p.clock = max(p.clock, d.at)
	}
	due, ok := e.st.NextDue()
	if !ok {
		return nil
	}
	if due > d.at {
		// The hint was early: the instance has moved, or the hint was rounded.
		p.rearmFrom(e, d.at)
		return nil
	}
	p.result.Reset()
	p.set.Step(&e.st, e.user, rules.Input{Until: d.at, Fired: fired}, &p.result)
	p.count.fired++
	p.take(e, ByTimer, p.offset, max(p.clock, fired))
	p.rearmFrom(e, d.at)
	return nil
}

// rearmFrom is rearm after a hint has come up at the time at: an index entry at
// or before it is spent, whatever the clock says.
func (p *Partition) rearmFrom(e *entry, at int64) {
	if e.st.TimerHint() <= at {
		e.st.SetTimerHint(0)
	}
	due, ok := e.st.NextDue()
	if !ok || e.heap == due {
		return
	}
	if second(due) == second(at) {
		// The index entry was for this second: the heap will do. After a crash
		// the entry is followed again.
		p.timers.push(due, e.user)
		e.heap = due
		return
	}
	p.rearm(e)
}
