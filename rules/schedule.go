package rules

import (
	"cmp"
	"slices"
	"strings"

	"github.com/nudged/nudged/rules/eventtime"
)

// ScheduleType is the type of the trigger of a scheduled run.
const ScheduleType = "schedule"

// schedulePrefix begins the id of such a trigger; the occurrence follows.
const schedulePrefix = ScheduleType + "/"

// SweepMemory is how long a user's state remembers that an occurrence has been
// run, ms, counted to the user's newest event. A sweep that comes later starts
// nothing.
const SweepMemory = 30 * 24 * 3_600_000

// Scheduled lists the rules that are started by a schedule, in the order of the
// file.
func (s *Set) Scheduled() []*Rule { return s.scheduled }

// NextSchedule returns the next occurrence of any schedule after t, with the
// rules that occur then, by priority and then in the order of the file; false if
// there is none.
func (s *Set) NextSchedule(t int64) (occurring []*Rule, at int64, ok bool) {
	for _, r := range s.scheduled {
		switch next, any := r.Schedule.Next(t); {
		case !any:
		case !ok || next < at:
			occurring, at, ok = append(occurring[:0], r), next, true
		case next == at:
			occurring = append(occurring, r)
		}
	}
	slices.SortStableFunc(occurring, func(a, b *Rule) int { return cmp.Compare(b.Priority, a.Priority) })
	return occurring, at, ok
}

// scheduledTrigger is the trigger of the run of an occurrence.
func scheduledTrigger(at int64, partition int32) Trigger {
	return Trigger{
		ID: string(eventtime.AppendRFC3339([]byte(schedulePrefix), at)), typeID: scheduleTypeID,
		Time: at, Partition: partition, Offset: -1,
	}
}

var scheduleTypeID = nameID("type", ScheduleType)

// isScheduled says that no event made the trigger.
func (t *Trigger) isScheduled() bool { return t.Offset < 0 }

// occurrence returns the time of the trigger's occurrence, false if no schedule
// made it.
func occurrence(triggerID string) (int64, bool) {
	text, ok := strings.CutPrefix(triggerID, schedulePrefix)
	if !ok {
		return 0, false
	}
	return eventtime.ParseRFC3339([]byte(text))
}

// sweep starts the scheduled rule for the user, unless the occurrence has been
// run or an earlier run is pending.
func (sp *stepper) sweep(r *Rule, at, fired int64, partition int32) {
	if r.Schedule == nil || r.Paused && r.beginsWithSend() || sp.st.wasSwept(r.ID, at) || sp.st.indexOf(r.ID, "") >= 0 {
		return
	}
	sp.byClock = true
	sp.env.Now, sp.env.upper = at, endOfTime
	if !sp.ask(r.Schedule.Audience) {
		return
	}
	if sp.crowded() {
		sp.out.Refused++
		return
	}
	in, arrived := sp.startScheduled(r, at, partition)
	switch {
	case arrived == ends || sp.replay:
		return
	case arrived == fires && !r.Paused:
		sp.push(r, in, len(sp.st.instances)-1, false)
		sp.runClock(at, fired)
	default:
		// The clock has started it: what is not written is not there after a replay.
		sp.emit(Armed, r, in, max(at, fired))
	}
}

// startScheduled begins a run of the rule for the occurrence among the pending
// ones, and remembers it.
func (sp *stepper) startScheduled(r *Rule, at int64, partition int32) (*Instance, arrival) {
	in := Instance{rule: r.ID, Trigger: scheduledTrigger(at, partition)}
	arrived := sp.enter(r, &in, 0, at)
	if arrived == ends {
		return nil, ends
	}
	sp.st.instances = append(sp.st.instances, in)
	sp.st.setSwept(r.ID, at)
	sp.out.Changed = true
	return &sp.st.instances[len(sp.st.instances)-1], arrived
}

func (st *State) wasSwept(rule ID, at int64) bool {
	if st.newest-at > SweepMemory {
		return true
	}
	for _, s := range st.swept {
		if s.rule == rule {
			return at <= s.t
		}
	}
	return false
}

// MarkSwept notes that every occurrence of the set's schedules up to until has been
// started for the user, or was not for him.
func (st *State) MarkSwept(s *Set, until int64) {
	for _, r := range s.Scheduled() {
		st.setSwept(r.ID, until)
	}
}

func (st *State) setSwept(rule ID, at int64) {
	for i := range st.swept {
		if st.swept[i].rule == rule {
			st.swept[i].t = max(st.swept[i].t, at)
			return
		}
	}
	st.swept = append(st.swept, ruleTime{rule, at})
}
