package oracle

import (
	"encoding/json"
	"fmt"
	"sort"
	"time"
)

// maxExamples bounds the findings that a Verdict spells out.
const maxExamples = 10

// Verdict says how the records of the sends and decisions topics differ from
// what is owed. It is good when OK reports true.
type Verdict struct {
	Expected int `json:"expected"`
	Seen     int `json:"seen"` // records on the sends topic
	Missing  int `json:"missing"`
	Extra    int `json:"extra"` // not owed, or not readable
	Twice    int `json:"twice"` // records beyond the first of their command id
	Wrong    int `json:"wrong"` // owed, but user, rule, arm, due time, … differ

	Decisions Decisions `json:"decisions"` // as on the decisions topic
	Owed      Decisions `json:"owed"`      // as the oracle has them
	Strange   int       `json:"strange"`   // decisions of other kinds, or not readable

	DeadLetters int `json:"dead_letters"` // the workload has no bad record

	Examples []string `json:"examples,omitempty"` // the first few findings, in words
}

// OK reports whether nothing differs.
func (v Verdict) OK() bool {
	return v.Missing == 0 && v.Extra == 0 && v.Twice == 0 && v.Wrong == 0 &&
		v.Strange == 0 && v.DeadLetters == 0 && v.Decisions == v.Owed
}

// String is the verdict in one line.
func (v Verdict) String() string {
	return fmt.Sprintf("%d sends owed, %d seen: %d missing, %d extra, %d twice, %d wrong; decisions %+v, owed %+v, %d strange; %d dead letters",
		v.Expected, v.Seen, v.Missing, v.Extra, v.Twice, v.Wrong, v.Decisions, v.Owed, v.Strange, v.DeadLetters)
}

// Checker holds records of the sends and decisions topics against a Result.
type Checker struct {
	owed    map[string]Send
	seen    map[string]bool
	verdict Verdict
}

// NewChecker returns a checker that has seen no record.
func NewChecker(r Result) *Checker {
	return &Checker{
		owed:    r.Sends,
		seen:    make(map[string]bool, len(r.Sends)),
		verdict: Verdict{Expected: len(r.Sends), Owed: r.Decisions},
	}
}

// message has the fields of a send command and of a decision that are checked.
type message struct {
	CommandID  string `json:"command_id"`
	Rule       string `json:"rule"`
	User       string `json:"user"`
	Experiment string `json:"experiment"`
	Arm        string `json:"arm"`
	Step       int    `json:"step"`
	Due        string `json:"due"`
	Decision   string `json:"decision"`
	Trigger    struct {
		ID        string `json:"id"`
		Partition int32  `json:"partition"`
	} `json:"trigger"`
}

// Send takes in one record of the sends topic.
func (c *Checker) Send(key, value []byte) {
	c.verdict.Seen++
	var m message
	if err := json.Unmarshal(value, &m); err != nil {
		c.verdict.Extra++
		c.example("not JSON (%v): %.120s", err, value)
		return
	}
	want, ok := c.owed[m.CommandID]
	if !ok {
		c.verdict.Extra++
		c.example("extra: %s", value)
		return
	}
	if c.seen[m.CommandID] {
		c.verdict.Twice++
		c.example("twice: %s", value)
		return
	}
	c.seen[m.CommandID] = true
	due, err := time.Parse(time.RFC3339Nano, m.Due)
	got := Send{
		CommandID: m.CommandID, Rule: m.Rule, User: m.User, Experiment: m.Experiment, Arm: m.Arm,
		TriggerID: m.Trigger.ID, DueMS: due.UnixMilli(), Partition: m.Trigger.Partition,
	}
	if got != want || err != nil || m.Step != 0 || string(key) != want.User {
		c.verdict.Wrong++
		c.example("wrong: key %q, %s; owed %+v", key, value, want)
	}
}

// Decision takes in one record of the decisions topic.
func (c *Checker) Decision(value []byte) {
	var m message
	if err := json.Unmarshal(value, &m); err != nil {
		c.verdict.Strange++
		c.example("decision is not JSON (%v): %.120s", err, value)
		return
	}
	d := &c.verdict.Decisions
	switch m.Decision {
	case "sent":
		d.Sent++
	case "control":
		d.Control++
	case "cooldown":
		d.Cooldown++
	case "cancelled":
		d.Cancelled++
	default:
		c.verdict.Strange++
		c.example("decision not expected: %s", value)
	}
}

// DeadLetter takes in one record of the dead-letter topic.
func (c *Checker) DeadLetter(value []byte) {
	c.verdict.DeadLetters++
	c.example("dead letter: %s", value)
}

// Verdict returns the verdict on what was taken in. What was owed and did not
// come counts as missing, so it is asked at the end.
func (c *Checker) Verdict() Verdict {
	v := c.verdict
	v.Examples = append([]string(nil), v.Examples...)
	v.Missing = len(c.owed) - len(c.seen)
	if v.Missing > 0 && len(v.Examples) < maxExamples {
		var ids []string
		for id := range c.owed {
			if !c.seen[id] {
				ids = append(ids, id)
			}
		}
		sort.Strings(ids)
		for _, id := range ids[:min(len(ids), maxExamples-len(v.Examples))] {
			v.Examples = append(v.Examples, fmt.Sprintf("missing: %+v", c.owed[id]))
		}
	}
	return v
}

func (c *Checker) example(format string, args ...any) {
	if len(c.verdict.Examples) < maxExamples {
		c.verdict.Examples = append(c.verdict.Examples, fmt.Sprintf(format, args...))
	}
}
