package processor

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/nudged/nudged/rules"
)

// Sweep is how far runs that a schedule starts have got in a partition, and under
// which rules everybody has been looked at.
type Sweep struct {
	// Done says that every occurrence at or before it has been started for all, ms.
	Done int64
	// At is the occurrence that is being started, ms; 0: none. Users in slices
	// below Next, of Of, have had theirs.
	At       int64
	Next, Of int
	// Rules is the version of the rules under which all have been looked at, short.
	Rules string
}

// String is the sweep as it is stored: done,at,next,of,rules.
func (s Sweep) String() string {
	return fmt.Sprintf("%d,%d,%d,%d,%s", s.Done, s.At, s.Next, s.Of, s.Rules)
}

// ParseSweep reads what String wrote. Nothing is the sweep of a new partition.
func ParseSweep(text string) (Sweep, error) {
	var s Sweep
	if text == "" {
		return s, nil
	}
	parts := strings.Split(text, ",")
	if len(parts) != 5 {
		return s, fmt.Errorf("%q is not done,at,next,of,rules", text)
	}
	var n [4]int64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseInt(parts[i], 10, 64); err != nil {
			return s, fmt.Errorf("%q is not done,at,next,of,rules: %w", text, err)
		}
	}
	if n[2] < 0 || n[3] < n[2] || n[3] > 1<<30 {
		return s, fmt.Errorf("slice %d of %d does not exist", n[2], n[3])
	}
	return Sweep{Done: n[0], At: n[1], Next: int(n[2]), Of: int(n[3]), Rules: parts[4]}, nil
}

// shortVersion is how a sweep names rules: enough to tell two versions apart.
func shortVersion(set *rules.Set) string {
	_, hash, _ := strings.Cut(set.Version, ":")
	return hash[:min(len(hash), 12)]
}

// sweeping is the work on a partition's users that no event asks for: runs that
// a schedule starts, and a look at everybody after the rules have changed.
type sweeping struct {
	Sweep
	occurring []*rules.Rule // of the occurrence At
	fresh     bool          // occurring has just been worked out
	// early are users who had an event while the occurrence was being started:
	// theirs was started before the event.
	early map[userKey]bool
	next  int64 // the occurrence after Done, 0: not known
	// look is the next slice of users to be looked at since the rules have changed;
	// looked says that all have been.
	look   int
	looked bool
	// turn counts the slices looked through for states that nothing needs, by the
	// clock; slices is how many there are, as the store said last, 0: not known.
	turn   int64
	slices int
}

// retirePeriod is how long it takes to look through all users of a partition for
// states that nothing needs any more, ms.
const retirePeriod = 24 * 3_600_000

// never is an occurrence that does not come.
const never = int64(1<<63 - 1)

// initSweep goes on with a sweep as it was left, the partition's clock at clock.
func (p *Partition) initSweep(s Sweep, clock int64) {
	p.sweep = sweeping{Sweep: s}
	if p.head.Seq == 0 {
		p.sweep.Rules = shortVersion(p.set) // there is nobody to look at
	}
	if s.Done == 0 {
		p.sweep.Done = clock
	}
	if len(p.set.Scheduled()) == 0 {
		// What rules that are gone have left unfinished is over.
		p.sweep.Done, p.sweep.At = max(p.sweep.Done, clock), 0
	}
	if s.At != 0 {
		p.begin(s.At)
	}
}

// begin notes which rules occur at the time.
func (p *Partition) begin(at int64) {
	s := &p.sweep
	s.At, s.early, s.occurring, s.fresh = at, map[userKey]bool{}, nil, true
	if occurring, t, ok := p.set.NextSchedule(at - 1); ok && t == at {
		s.occurring = occurring
	}
}

// nextOccurrence returns the first occurrence of a schedule that has not been
// started, never if there is none.
func (p *Partition) nextOccurrence() int64 {
	s := &p.sweep
	if s.next == 0 {
		s.next = never
		if _, at, ok := p.set.NextSchedule(s.Done); ok {
			s.next = at
		}
	}
	return s.next
}

// passed notes that the clock stands at clock and everything that occurs by then
// has been started.
func (p *Partition) passed(clock int64) {
	if s := &p.sweep; s.At == 0 && clock > s.Done && p.nextOccurrence() > clock {
		s.Done = clock
	}
}

// occursBy says whether a schedule has something to start by until.
func (p *Partition) occursBy(until int64) bool {
	if len(p.set.Scheduled()) == 0 {
		return false
	}
	if p.clock == 0 && p.sweep.At == 0 {
		// Nobody is known yet for whom an occurrence could be started.
		p.sweep.Done, p.sweep.next = max(p.sweep.Done, until), 0
		return false
	}
	return p.sweep.At != 0 || p.nextOccurrence() <= until
}

// runSchedules starts what occurs by until, on the event clock: all of it, each
// at its time, before the event of that time is applied.
func (p *Partition) runSchedules(ctx context.Context, until int64) error {
	for p.occursBy(until) {
		if p.sweep.At == 0 {
			at := p.nextOccurrence()
			if err := p.fireUntil(ctx, at); err != nil {
				return err
			}
			p.clock = max(p.clock, at)
			if err := p.beginSweep(ctx, at); err != nil {
				return err
			}
		}
		for p.sweep.At != 0 {
			if _, err := p.sweepSlice(ctx, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// beginSweep closes the open batch, so that the store knows everybody, and begins.
func (p *Partition) beginSweep(ctx context.Context, at int64) error {
	if err := p.Flush(ctx); err != nil {
		return err
	}
	p.sweep.Next, p.sweep.Of, p.sweep.next = 0, 0, 0
	p.begin(at)
	return nil
}

// superseded drops the rules that occur again by now: after an outage only the
// latest occurrence of a rule is started.
func (p *Partition) superseded(now int64) {
	s := &p.sweep
	if !s.fresh {
		return
	}
	s.fresh = false
	kept := s.occurring[:0]
	for _, r := range s.occurring {
		if next, ok := r.Schedule.Next(s.At); !ok || next > now {
			kept = append(kept, r)
		}
	}
	s.occurring = kept
}

// sweepSlice starts the occurrence for the next slice of users and returns how
// many they were. fired is the clock's reading, 0 for on time.
func (p *Partition) sweepSlice(ctx context.Context, fired int64) (users int, err error) {
	s := &p.sweep
	if len(s.occurring) == 0 {
		p.endSweep()
		return 0, nil
	}
	list, of, err := p.slice(ctx, s.Next)
	if err != nil {
		return 0, err
	}
	if s.Of != of {
		// Never looked at, or the store was made anew with other slices.
		again := s.Next > 0
		s.Next, s.Of = 0, of
		if again {
			return 0, nil
		}
	}
	for _, u := range list {
		// Who was forgotten just now is still in the store.
		if s.early[keyOf(u)] || p.forgotten.users[u] {
			continue
		}
		if err := p.startFor(ctx, u, fired); err != nil {
			return 0, err
		}
	}
	s.Next++
	p.wrote = true
	if s.Next >= of {
		p.endSweep()
	}
	if p.full() {
		return len(list), p.Flush(ctx)
	}
	return len(list), nil
}

// finishSweep starts what is being started for all users to its end.
func (p *Partition) finishSweep(ctx context.Context) error {
	for p.sweep.At != 0 {
		fired := p.clock
		if p.cfg.EventClock {
			fired = 0
		}
		if _, err := p.sweepSlice(ctx, fired); err != nil {
			return err
		}
	}
	return nil
}

func (p *Partition) endSweep() {
	s := &p.sweep
	s.Done, s.At, s.Next, s.Of, s.occurring, s.early = max(s.Done, s.At), 0, 0, 0, nil, nil
	p.wrote = true
}

// startEarly starts the occurrence for a user who has an event while it is being
// started for all. Of users who come only now nothing was known at that time.
func (p *Partition) startEarly(ctx context.Context, user string) error {
	s := &p.sweep
	k := keyOf(user)
	if s.early[k] {
		return nil
	}
	s.early[k] = true
	if _, err := p.state(ctx, user); err != nil {
		return err
	}
	if !p.known() {
		return nil
	}
	return p.startFor(ctx, user, p.clock)
}

// startFor starts the runs that occur now for the user.
func (p *Partition) startFor(ctx context.Context, user string, fired int64) error {
	st, err := p.state(ctx, user)
	if err != nil {
		return err
	}
	before, _ := st.NextDue(p.set)
	changed := false
	for _, r := range p.sweep.occurring {
		p.result.Reset()
		p.set.Step(st, user, rules.Input{Sweep: r, Until: p.sweep.At, Fired: fired, Partition: p.input.Partition}, &p.result)
		changed = p.take(user, ByTimer, p.offset, max(p.clock, fired)) || changed
	}
	if changed {
		p.keep(user, p.rearm(st, user, before))
	}
	return nil
}

// slice asks the store for a slice of users, and brings their states into the
// book.
func (p *Partition) slice(ctx context.Context, n int) (users []string, of int, err error) {
	var list []StateWrite
	err = p.retry(ctx, "load a slice of users", func() (err error) {
		list, of, err = p.cfg.Store.Users(ctx, p.input, p.head.Fence(), n)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	p.sweep.slices = of
	for i := range list {
		u := &list[i]
		users = append(users, u.User)
		if k := keyOf(u.User); !p.book.has(k) {
			p.book.put(k, u.User, u.State, false, false)
		}
	}
	return users, of, nil
}

// lookAround looks at a slice of users after the rules have changed: what waited
// under a paused rule is due now, what was due may wait. It returns whether there
// are more.
func (p *Partition) lookAround(ctx context.Context) (more bool, err error) {
	s := &p.sweep
	if s.Rules == shortVersion(p.set) || s.At != 0 {
		return false, nil
	}
	if s.looked {
		// Not while something that was found is overdue: whoever opens the partition
		// next does not look back behind the clock, and has to look at everybody again.
		if next, ok := p.timers.next(); !ok || next > p.clock {
			s.Rules, s.looked = shortVersion(p.set), false
			p.wrote = true
		}
		return false, nil
	}
	// What is found overdue has to get into the heap: in the index nobody looks for it.
	if err := p.reach(ctx, p.clock); err != nil {
		return false, err
	}
	users, of, err := p.slice(ctx, s.look)
	if err != nil {
		return false, err
	}
	for _, u := range users {
		st, err := p.state(ctx, u)
		if err != nil {
			return false, err
		}
		if p.rearm(st, u, -1) {
			p.keep(u, true)
		}
	}
	s.look++
	if s.look < of {
		return true, nil
	}
	s.look, s.looked = 0, true
	return true, nil
}

// retire deletes the states of a slice of users that nothing can need any more.
// The clock says which slice has its turn, so that restarts do not matter: in the
// course of a retirePeriod each of them has it once.
func (p *Partition) retire(ctx context.Context) error {
	s := &p.sweep
	if s.At != 0 || p.clock == 0 {
		return nil
	}
	if s.slices == 0 {
		_, _, err := p.slice(ctx, 0) // tells how many there are
		if err != nil {
			return err
		}
	} else if p.clock/(retirePeriod/int64(s.slices)) == s.turn {
		return nil
	}
	s.turn = p.clock / (retirePeriod / int64(s.slices))
	users, _, err := p.slice(ctx, int(s.turn%int64(s.slices)))
	if err != nil {
		return err
	}
	for _, u := range users {
		st, err := p.state(ctx, u)
		if err != nil {
			return err
		}
		if p.known() && st.Empty(p.set, p.clock) {
			p.held = false
			p.book.replace(p.at, u, nil, true, false)
			p.wrote = true
			p.count.retired++
		}
	}
	return nil
}
