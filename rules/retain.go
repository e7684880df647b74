package rules

import "slices"

// Trim drops what the set does not read any more, and what has left its window, as
// Append does: so that it makes no difference to the bytes how often the state was
// stored on the way.
func (st *State) Trim(s *Set) { st.drop(s) }

// drop removes what nothing can need any more.
func (st *State) drop(s *Set) {
	keptAttrs := st.attrs[:0]
	for _, a := range st.attrs {
		if _, ok := s.attrs[a.ID]; ok {
			keptAttrs = append(keptAttrs, a)
		}
	}
	st.attrs = keptAttrs
	n := 0
	for i := range st.metrics {
		m := s.metrics[st.metrics[i].id]
		if m == nil || !st.metrics[i].is(m) {
			continue
		}
		st.metrics[i].prune(m, st.newest)
		if len(st.metrics[i].points) == 0 {
			continue
		}
		// Swapped, not copied: each element keeps points of its own for reuse.
		st.metrics[n], st.metrics[i] = st.metrics[i], st.metrics[n]
		n++
	}
	st.metrics = st.metrics[:n]
	st.sent = slices.DeleteFunc(st.sent, func(l ruleTime) bool {
		r := s.rules[l.rule]
		return r == nil || st.newest-l.t >= r.Cooldown
	})
	st.dropSends(s)
	st.exposures = slices.DeleteFunc(st.exposures, func(e exposure) bool {
		x := s.experiments[e.experiment]
		// Of a phase that runs, that there was an exposure has to be known: the next
		// one would count as the first. An older phase has no next one.
		return x == nil || !x.tracked() || e.over && e.phase != x.Phase
	})
	st.swept = slices.DeleteFunc(st.swept, func(l ruleTime) bool {
		r := s.rules[l.rule]
		return r == nil || r.Schedule == nil || st.newest-l.t > SweepMemory
	})
}

func (st *State) dropSends(s *Set) {
	n := 0
	for i := range st.sends {
		l := &st.sends[i]
		if memory := s.memory(l.class, l.channel); memory > 0 {
			l.prune(st.newest - memory)
		} else {
			l.times = l.times[:0]
		}
		if len(l.times) > 0 {
			// Swapped, not copied: each element keeps times of its own for reuse.
			st.sends[n], st.sends[i] = st.sends[i], st.sends[n]
			n++
		}
	}
	st.sends = st.sends[:n]
}

// RememberIDs is how long, ms, a state that nothing else needs is kept for the
// ids of its recent events, and for what comes late.
const RememberIDs = 7 * 24 * 3_600_000

// EmptyFrom returns the time from which on the whole state may be deleted, if no
// event of the user comes until then; false if that time does not come. A state
// is needed
//
//   - for ever by attributes, by metrics without a window, by exposures while the
//     experiment's phase runs, and by any schedule in force: schedules start runs
//     for everybody of whom there is a state,
//   - while an instance is pending that will decide something or may be led on,
//   - until the last occurrence, send or cooldown has left its window,
//   - and for RememberIDs beyond all that and the newest event: a repeated event
//     is known by its id, and an event that comes late finds what it would have
//     found.
func (st *State) EmptyFrom(s *Set) (at int64, ok bool) {
	if len(s.scheduled) > 0 {
		return 0, false
	}
	at = st.newest
	for _, a := range st.attrs {
		if s.attrs[a.ID] != nil {
			return 0, false
		}
	}
	for i := range st.metrics {
		ms := &st.metrics[i]
		m := s.metrics[ms.id]
		if m == nil || !ms.is(m) || len(ms.points) == 0 {
			continue
		}
		if m.Within == 0 {
			return 0, false
		}
		at = max(at, ms.points[len(ms.points)-1].t+m.Within)
	}
	for _, e := range st.exposures {
		if x := s.experiments[e.experiment]; x != nil && x.tracked() {
			return 0, false
		}
	}
	for _, l := range st.sent {
		if r := s.rules[l.rule]; r != nil {
			at = max(at, l.t+r.Cooldown)
		}
	}
	for i := range st.sends {
		l := &st.sends[i]
		if n := len(l.times); n > 0 {
			at = max(at, l.times[n-1]+s.memory(l.class, l.channel))
		}
	}
	for i := range st.instances {
		end, ends := st.runsOut(s, &st.instances[i])
		if !ends {
			return 0, false
		}
		at = max(at, end)
	}
	return at + RememberIDs, true
}

// Empty says whether the whole state may be deleted at the time now, see
// EmptyFrom.
func (st *State) Empty(s *Set, now int64) bool {
	at, ok := st.EmptyFrom(s)
	return ok && at <= now
}
