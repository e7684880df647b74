package backtest

import (
	"cmp"
	"maps"
	"slices"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/eventtime"
)

// Result is what a backtest found.
type Result struct {
	RulesVersion string `json:"rules_version"`
	Events       int    `json:"events"`
	Users        int    `json:"users"`
	BadLines     int    `json:"bad_lines"`
	Unread       int    `json:"unread"`
	Duplicates   int    `json:"duplicates"`
	Pending      int    `json:"pending"`
	// From and To are the times of the first and the last event.
	From   string       `json:"from,omitempty"`
	To     string       `json:"to,omitempty"`
	Assume *Assumptions `json:"assume,omitempty"`
	Rules  []RuleResult `json:"rules"`
	Days   []DayResult  `json:"days"`
	// Compare is how a second rule set differs from the first, nil without one.
	Compare *Comparison `json:"compare,omitempty"`
}

// RuleResult is what was decided of one rule.
type RuleResult struct {
	Rule     string         `json:"rule"`
	Outcomes map[string]int `json:"outcomes"`
	Impact   Impact         `json:"impact"`
}

// DayResult is what was decided of one rule on one day (UTC). Reached are the
// users whose first message came that day, so that the days add up to the rule.
type DayResult struct {
	Day      string         `json:"day"`
	Rule     string         `json:"rule"`
	Sent     int            `json:"sent"`
	Outcomes map[string]int `json:"outcomes"`
	Impact   Impact         `json:"impact"`
}

// result puts together what the workers found.
func (c *Config) result(sets []*rules.Set, workers []*worker, bad int) *Result {
	res := &Result{RulesVersion: sets[0].Version, BadLines: bad}
	if c.Assume.Conversion != nil {
		res.Assume = &c.Assume
	}
	tallies := make([]tally, len(sets))
	for i := range tallies {
		tallies[i] = tally{}
		for _, w := range workers {
			tallies[i].merge(w.runs[i].tally)
		}
	}
	var seen history
	for _, w := range workers {
		n := w.runs[0].sim.Counts()
		res.Unread += n.Unread
		res.Duplicates += n.Duplicates
		res.Users += w.runs[0].sim.Users()
		res.Pending += w.runs[0].sim.Pending()
		if w.seen.events > 0 {
			if seen.events == 0 || w.seen.first < seen.first {
				seen.first = w.seen.first
			}
			seen.last = max(seen.last, w.seen.last)
		}
		seen.events += w.seen.events
		seen.bad += w.seen.bad
	}
	res.Events = seen.events
	res.BadLines += seen.bad
	if seen.events > 0 {
		res.From, res.To = string(eventtime.AppendRFC3339(nil, seen.first)), string(eventtime.AppendRFC3339(nil, seen.last))
	}
	c.rules(res, sets[0], tallies[0])
	if len(sets) > 1 {
		res.Compare = compare(sets, tallies)
	}
	return res
}

// rules fills in what was decided, in the order of the rule files.
func (c *Config) rules(res *Result, set *rules.Set, t tally) {
	byName := map[string]*rules.Rule{}
	for _, r := range set.Rules {
		byName[r.Name] = r
	}
	res.Rules, res.Days = []RuleResult{}, []DayResult{}
	for _, name := range order(t, set) {
		r, decided := byName[name], t.of(name)
		goal, cost := false, rules.Cost{}
		if r != nil {
			goal, cost = goalFor(r, c.Goal) != nil, r.Cost
		}
		all, days := decided.measure(goal)
		basket := all.basket(&c.Assume)
		all.WhatIf = all.whatIf(&c.Assume, basket, cost)
		res.Rules = append(res.Rules, RuleResult{name, named(decided.outcomes), all})
		for day, outcomes := range decided.days {
			d := DayResult{Day: day, Rule: name, Sent: outcomes[rules.Sent], Outcomes: named(outcomes), Impact: *days[day]}
			d.Impact.WhatIf = d.Impact.whatIf(&c.Assume, basket, cost)
			res.Days = append(res.Days, d)
		}
	}
	place := map[string]int{}
	for i, r := range res.Rules {
		place[r.Rule] = i
	}
	slices.SortFunc(res.Days, func(a, b DayResult) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), place[a.Rule]-place[b.Rule])
	})
}

// order lists the rules of the sets in their order, then what else was decided
// of.
func order(t tally, sets ...*rules.Set) []string {
	var names []string
	for _, set := range sets {
		for _, r := range set.Rules {
			if !slices.Contains(names, r.Name) {
				names = append(names, r.Name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func named(outcomes map[rules.Outcome]int) map[string]int {
	out := make(map[string]int, len(outcomes))
	for o, n := range outcomes {
		out[string(o)] = n
	}
	return out
}
