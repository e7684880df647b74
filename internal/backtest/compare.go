package backtest

import (
	"cmp"
	"encoding/csv"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/nudged/nudged/rules"
)

// shownUsers is how many examples are named of those who gain, or lose.
const shownUsers = 5

// Comparison says who would get more or fewer messages under a second rule set.
type Comparison struct {
	RulesVersion string     `json:"rules_version"`
	Rules        []RuleDiff `json:"rules"`
	All          RuleDiff   `json:"all"` // over all rules
}

// RuleDiff compares the messages of one rule, user by user.
type RuleDiff struct {
	Rule           string   `json:"rule,omitempty"`
	MessagesBefore int      `json:"messages_before"`
	MessagesAfter  int      `json:"messages_after"`
	UsersBefore    int      `json:"users_before"`
	UsersAfter     int      `json:"users_after"`
	Gain           int      `json:"gain"` // users who would get more messages
	Lose           int      `json:"lose"` // users who would get fewer
	GainExamples   []string `json:"gain_examples,omitempty"`
	LoseExamples   []string `json:"lose_examples,omitempty"`

	changes []userDiff
}

// userDiff is a user whose number of messages differs.
type userDiff struct {
	user          string
	before, after int
}

func compare(sets []*rules.Set, t []tally) *Comparison {
	c := &Comparison{RulesVersion: sets[1].Version}
	all := [2]map[string]int{{}, {}}
	for _, name := range order(nil, sets...) {
		counts := [2]map[string]int{}
		for i := range counts {
			counts[i] = t[i].of(name).messages()
			for user, n := range counts[i] {
				all[i][user] += n
			}
		}
		c.Rules = append(c.Rules, diff(name, counts[0], counts[1]))
	}
	c.All = diff("", all[0], all[1])
	return c
}

func (r *ruleTally) messages() map[string]int {
	out := make(map[string]int, len(r.users))
	for user, u := range r.users {
		out[user] = u.messages
	}
	return out
}

func diff(rule string, before, after map[string]int) RuleDiff {
	d := RuleDiff{Rule: rule, UsersBefore: len(before), UsersAfter: len(after)}
	users := map[string]bool{}
	for user, n := range before {
		users[user] = true
		d.MessagesBefore += n
	}
	for user, n := range after {
		users[user] = true
		d.MessagesAfter += n
	}
	for _, user := range slices.Sorted(maps.Keys(users)) {
		u := userDiff{user, before[user], after[user]}
		switch cmp.Compare(u.after, u.before) {
		case 0:
			continue
		case 1:
			if d.Gain++; d.Gain <= shownUsers {
				d.GainExamples = append(d.GainExamples, user)
			}
		default:
			if d.Lose++; d.Lose <= shownUsers {
				d.LoseExamples = append(d.LoseExamples, user)
			}
		}
		d.changes = append(d.changes, u)
	}
	return d
}

// CSV writes every user who would gain or lose messages, rule by rule.
func (c *Comparison) CSV(w io.Writer) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"rule", "user", "change", "messages_before", "messages_after"}) // Flush tells
	for i := range c.Rules {
		for _, u := range c.Rules[i].changes {
			change := "gain"
			if u.after < u.before {
				change = "lose"
			}
			_ = out.Write([]string{c.Rules[i].Rule, u.user, change, strconv.Itoa(u.before), strconv.Itoa(u.after)})
		}
	}
	out.Flush()
	return out.Error()
}
