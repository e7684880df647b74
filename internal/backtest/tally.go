package backtest

import (
	"strings"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/eventtime"
)

// tally is what was decided, by rule.
type tally map[string]*ruleTally

// ruleTally is what was decided of one rule.
type ruleTally struct {
	outcomes map[rules.Outcome]int
	days     map[string]map[rules.Outcome]int // by day (UTC)
	users    map[string]*reach                // who was sent to
}

// reach is one user's being sent to by one rule.
type reach struct {
	first     int64 // when, ms
	messages  int
	converted bool
	worth     float64 // of the first conversion, where the goal says
	known     bool
}

func (t tally) of(rule string) *ruleTally {
	r := t[rule]
	if r == nil {
		r = &ruleTally{outcomes: map[rules.Outcome]int{}, days: map[string]map[rules.Outcome]int{}, users: map[string]*reach{}}
		t[strings.Clone(rule)] = r
	}
	return r
}

func (r *ruleTally) day(ms int64) map[rules.Outcome]int {
	day := dayOf(ms)
	if r.days[day] == nil {
		r.days[day] = map[rules.Outcome]int{}
	}
	return r.days[day]
}

func dayOf(ms int64) string { return string(eventtime.AppendRFC3339(nil, ms)[:len("2006-01-02")]) }

func (t tally) add(d *rules.Decision) {
	r := t.of(d.Rule)
	r.outcomes[d.Outcome]++
	r.day(d.At)[d.Outcome]++
	if d.Outcome != rules.Sent {
		return
	}
	u := r.users[d.User]
	if u == nil {
		u = &reach{first: d.At}
		r.users[strings.Clone(d.User)] = u
	}
	u.first = min(u.first, d.At)
	u.messages++
}

// convert notes that a user has reached the goal of a rule, if that was within
// the goal's time from the first message.
func (t tally) convert(rule, user string, h *hit) {
	r := t[rule]
	if r == nil {
		return
	}
	if u := r.users[user]; u != nil && !u.converted && h.at > u.first && h.at-u.first <= h.goal.Within {
		u.converted, u.worth, u.known = true, h.worth, h.known
	}
}

// merge adds what other partitions decided.
func (t tally) merge(other tally) {
	for rule, o := range other {
		r := t.of(rule)
		for outcome, n := range o.outcomes {
			r.outcomes[outcome] += n
		}
		for day, outcomes := range o.days {
			if r.days[day] == nil {
				r.days[day] = map[rules.Outcome]int{}
			}
			for outcome, n := range outcomes {
				r.days[day][outcome] += n
			}
		}
		for user, u := range o.users {
			// A topic that is not keyed by user may have one in two partitions.
			if mine := r.users[user]; mine != nil {
				u.messages += mine.messages
				if mine.converted && (!u.converted || mine.first <= u.first) {
					u.converted, u.worth, u.known = true, mine.worth, mine.known
				}
				u.first = min(u.first, mine.first)
			}
			r.users[user] = u
		}
	}
}
