package processor

import (
	"context"
	"strings"

	"github.com/nudged/nudged/rules"
)

// Second rounds a time down to a whole second, the grain of the timer index.
func Second(ms int64) int64 { return ms - mod(ms, 1000) }

// hint takes the next hint at or before until, with the user's state in the book
// as a rule.
func (p *Partition) hint(ctx context.Context, until int64) (d dueEntry, ok bool, err error) {
	t := p.timers
	for {
		if len(t.ready) == 0 {
			if next, ok := t.next(); ok && next <= until {
				if err := p.prepare(ctx, until); err != nil {
					return d, false, err
				}
			}
		}
		if d, ok = t.pop(until); ok || until < t.horizon {
			return d, ok, nil
		}
		if err := p.reach(ctx, until); err != nil {
			return d, false, err
		}
	}
}

// prepare loads the states of users who are about to be looked at, and of those
// wanted otherwise, together.
func (p *Partition) prepare(ctx context.Context, until int64) error {
	p.timers.prepare(until, 2*chunk, p.want)
	return p.load(ctx)
}

// timerPage is how many index entries are read in one call.
const timerPage = 10_000

// eachTimer hands the entries of a bucket to f until it returns false.
func (p *Partition) eachTimer(ctx context.Context, b Bucket, f func(TimerEntry) bool) error {
	for from := 0; ; from += timerPage {
		var entries []TimerEntry
		err := p.retry(ctx, "load timers", func() (err error) {
			entries, err = p.cfg.Store.Timers(ctx, p.input, p.head.Fence(), b, from, timerPage)
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !f(e) {
				return nil
			}
		}
		if len(entries) < timerPage {
			return nil
		}
	}
}

// reach moves the horizon on, by as much as fits in memory: by until at most it
// comes to the next hints, if there are any.
func (p *Partition) reach(ctx context.Context, until int64) error {
	t := p.timers
	to, buckets := t.ahead(until)
	g := gathering{from: t.horizon, to: to, keep: t.keep, limit: 2 * t.keep}
	for _, b := range buckets {
		err := p.eachTimer(ctx, b, func(e TimerEntry) bool {
			if !p.forgotten.users[e.User] {
				g.add(e.At, e.User)
			}
			return b.Start < g.to
		})
		if err != nil {
			return err
		}
	}
	// What the open batch has armed is in no bucket yet.
	for _, a := range p.armed {
		g.add(a.at, a.user)
	}
	t.horizon = g.to
	for _, d := range g.found {
		t.push(d.at, d.user)
	}
	return nil
}

// lookAhead reaches on until to, if there is room for more hints.
func (p *Partition) lookAhead(ctx context.Context, to int64) error {
	if p.timers.horizon > to || len(p.timers.due) >= p.timers.keep {
		return nil
	}
	return p.reach(ctx, to)
}

// rearm sees to it that the user is looked at when the next instance is due. An
// index entry that comes up earlier will do: instances that move later write
// nothing until then. before is what was due next until now, -1 if a hint has come
// up. It returns whether the index needs a new entry.
func (p *Partition) rearm(st *rules.State, user string, before int64) (armed bool) {
	due, ok := st.NextDue(p.set)
	if !ok {
		return false
	}
	p.spend(st, p.clock)
	if h := st.TimerHint(); h != 0 && h <= due {
		if h == Second(due) && due != before {
			// The entry names the second, what is in memory may be later in it.
			p.expect(due, user)
		}
		return false
	}
	if p.promised() {
		st.DropTimerHint() // for an entry that is not written yet, and will not be
	}
	st.AddTimerHint(Second(due))
	p.expect(due, user)
	return true
}

// promised says that the first hint of the state that is decoded is for an index
// entry that the open batch is still to write.
func (p *Partition) promised() bool { return p.at != nowhere && p.book.places[p.at].armed }

// spend takes back the state's hints that have come up by until.
func (p *Partition) spend(st *rules.State, until int64) {
	if h := st.TimerHint(); h != 0 && h <= until && p.promised() {
		p.book.places[p.at].armed = false
	}
	st.SpendTimerHints(until)
}

// expect has the user looked at when the clock reaches due.
func (p *Partition) expect(due int64, user string) {
	a := dueEntry{due, strings.Clone(user)}
	p.armed = append(p.armed, a)
	p.timers.push(a.at, a.user)
}

// lookahead is how far ahead of the wall clock hints are loaded, ms, so that what
// is due next does not wait for the next look at the clock.
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
	for range limit {
		d, ok, err := p.hint(ctx, until)
		if err != nil {
			return false, err
		}
		if !ok {
			p.clock = until
			return false, p.lookAhead(ctx, until+lookahead)
		}
		if err := p.look(ctx, d, now); err != nil {
			return false, err
		}
	}
	next, ok := p.timers.next()
	for !ok && p.timers.horizon <= until {
		if err := p.reach(ctx, until); err != nil {
			return false, err
		}
		next, ok = p.timers.next()
	}
	if ok && next <= until {
		// Everything due before next has fired.
		p.clock = max(p.clock, next-1)
		return true, nil
	}
	p.clock = until
	return false, nil
}

// fireUntil fires what is due by until. On the event clock, which passes through
// every due time on its way, each fires on time.
func (p *Partition) fireUntil(ctx context.Context, until int64) error {
	for {
		d, ok, err := p.hint(ctx, until)
		if err != nil || !ok {
			return err
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
		changed = p.take(d.user, ByTimer, p.offset, max(p.clock, fired))
		due, ok = st.NextDue(p.set)
	}
	armed := false
	switch {
	case !ok:
		p.spend(st, d.at)
	case Second(due) == Second(d.at):
		// The index entry was for this second: what is in memory will do. After a
		// crash the entry is followed again.
		st.SpendTimerHints(d.at)
		p.timers.push(due, d.user)
	default:
		p.spend(st, d.at)
		armed = p.rearm(st, d.user, -1)
	}
	if changed || armed {
		p.keep(d.user, armed)
	}
	return nil
}
