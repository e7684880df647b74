package app

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/nudged/nudged/internal/decode"
	"github.com/nudged/nudged/internal/input"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/eventtime"
	"github.com/nudged/nudged/rules/rulefile"
	"github.com/nudged/nudged/rules/sim"
	"github.com/nudged/nudged/sinks"
)

// Backtest says what to run over which history.
type Backtest struct {
	Rules   string
	Files   []string
	Mapping input.Mapping
	// Partitions is the number of partitions of the simulated topic: each has a
	// clock of its own, as it has live.
	Partitions int
	Stdin      io.Reader
	// Decisions takes every decision as a JSON line; nil: they are counted only.
	Decisions io.Writer
	// Complain is told of every line that is not an event.
	Complain func(error)
	OnRead   func(bytes int)
}

// BacktestResult is what a backtest found.
type BacktestResult struct {
	RulesVersion string         `json:"rules_version"`
	Events       int            `json:"events"`
	Users        int            `json:"users"`
	BadLines     int            `json:"bad_lines"`
	Unread       int            `json:"unread"`
	Duplicates   int            `json:"duplicates"`
	Pending      int            `json:"pending"`
	From         string         `json:"from,omitempty"`
	To           string         `json:"to,omitempty"`
	Rules        []RuleOutcomes `json:"rules"`
	Days         []DayOutcomes  `json:"days"`
}

// RuleOutcomes counts what was decided for one rule.
type RuleOutcomes struct {
	Rule     string         `json:"rule"`
	Outcomes map[string]int `json:"outcomes"`
}

// DayOutcomes counts the sends of one rule on one day (UTC).
type DayOutcomes struct {
	Day  string `json:"day"`
	Rule string `json:"rule"`
	Sent int    `json:"sent"`
}

// Run reads the history through the engine.
func (b *Backtest) Run(ctx context.Context) (*BacktestResult, error) {
	set, err := rulefile.Load(b.Rules)
	if err != nil {
		return nil, err
	}
	tally := newTally(set)
	var out *bufio.Writer
	if b.Decisions != nil {
		out = bufio.NewWriterSize(b.Decisions, 1<<16)
	}
	origin := sinks.Origin{RulesVersion: set.Version}
	var line []byte
	var writeErr error
	s := sim.New(set, b.Partitions, false, func(_ int32, d *rules.Decision) {
		tally.add(d)
		if out != nil && writeErr == nil {
			line = append(sinks.AppendDecision(line[:0], d, origin), '\n')
			_, writeErr = out.Write(line)
		}
	})
	// Files are turned into nudged's own form on the way in.
	dec := decode.New(set, input.Mapping{})
	res := &BacktestResult{RulesVersion: set.Version}
	first, last := int64(0), int64(0)
	for rec, err := range input.ReadFiles(b.Files, input.Options{Mapping: b.Mapping, Stdin: b.Stdin, OnRead: b.OnRead}) {
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if writeErr != nil {
			return nil, fmt.Errorf("write decisions: %w", writeErr)
		}
		var ev rules.Event
		if rec.Err == nil {
			if err := dec.Decode(&ev, rec.Value); err != nil {
				rec.Err = fmt.Errorf("%s:%d: %w", rec.File, rec.Line, err)
			}
		}
		if rec.Err != nil {
			res.BadLines++
			b.Complain(rec.Err)
			continue
		}
		s.Apply(&ev)
		if first == 0 || ev.Time < first {
			first = ev.Time
		}
		last = max(last, ev.Time)
	}
	if out != nil {
		if err := out.Flush(); err != nil {
			return nil, fmt.Errorf("write decisions: %w", err)
		}
	}
	c := s.Counts()
	res.Events, res.Unread, res.Duplicates = c.Events, c.Unread, c.Duplicates
	res.Users, res.Pending = s.Users(), s.Pending()
	if c.Events > 0 {
		res.From, res.To = string(eventtime.AppendRFC3339(nil, first)), string(eventtime.AppendRFC3339(nil, last))
	}
	res.Rules, res.Days = tally.result()
	return res, nil
}

// tally counts decisions by rule, and sends by day.
type tally struct {
	order  map[string]int
	byRule map[string]map[string]int
	byDay  map[[2]string]int
}

func newTally(set *rules.Set) *tally {
	t := &tally{order: map[string]int{}, byRule: map[string]map[string]int{}, byDay: map[[2]string]int{}}
	for i, r := range set.Rules {
		t.order[r.Name] = i
		t.byRule[r.Name] = map[string]int{}
	}
	return t
}

func (t *tally) add(d *rules.Decision) {
	if t.byRule[d.Rule] == nil {
		t.byRule[d.Rule] = map[string]int{}
	}
	t.byRule[d.Rule][string(d.Outcome)]++
	if d.Outcome == rules.Sent {
		day := eventtime.AppendRFC3339(nil, d.At)
		t.byDay[[2]string{string(day[:10]), d.Rule}]++
	}
}

func (t *tally) result() ([]RuleOutcomes, []DayOutcomes) {
	byRule := make([]RuleOutcomes, 0, len(t.byRule))
	for name, outcomes := range t.byRule {
		byRule = append(byRule, RuleOutcomes{name, outcomes})
	}
	slices.SortFunc(byRule, func(a, b RuleOutcomes) int {
		return cmp.Or(t.order[a.Rule]-t.order[b.Rule], cmp.Compare(a.Rule, b.Rule))
	})
	byDay := make([]DayOutcomes, 0, len(t.byDay))
	for k, n := range t.byDay {
		byDay = append(byDay, DayOutcomes{k[0], k[1], n})
	}
	slices.SortFunc(byDay, func(a, b DayOutcomes) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), t.order[a.Rule]-t.order[b.Rule])
	})
	return byRule, byDay
}

// outcomeOrder is the order of the columns.
var outcomeOrder = []rules.Outcome{rules.Sent, rules.ControlArm, rules.Excluded, rules.Condition, rules.Cooldown,
	rules.Expired, rules.Cancelled, rules.RuleRemoved}

// Print writes the result as tables.
func (r *BacktestResult) Print(w io.Writer) {
	fmt.Fprintf(w, "%d events of %d users, %s to %s\n", r.Events, r.Users, r.From, r.To)
	fmt.Fprintf(w, "bad lines %d, of types no rule reads %d, repeated ids %d, instances still pending %d\n\n",
		r.BadLines, r.Unread, r.Duplicates, r.Pending)
	var used []string
	for _, o := range outcomeOrder {
		if slices.ContainsFunc(r.Rules, func(x RuleOutcomes) bool { return x.Outcomes[string(o)] > 0 }) || o == rules.Sent {
			used = append(used, string(o))
		}
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.SetOutputMirror(w)
	head := table.Row{"rule"}
	for _, o := range used {
		head = append(head, o)
	}
	t.AppendHeader(head)
	for _, x := range r.Rules {
		row := table.Row{x.Rule}
		for _, o := range used {
			row = append(row, x.Outcomes[o])
		}
		t.AppendRow(row)
	}
	t.Render()
	if len(r.Days) == 0 {
		return
	}
	fmt.Fprintln(w)
	t = table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.SetOutputMirror(w)
	t.AppendHeader(table.Row{"day (UTC)", "rule", "sent"})
	for _, d := range r.Days {
		t.AppendRow(table.Row{d.Day, d.Rule, d.Sent})
	}
	t.Render()
}

// JSON writes the result as one JSON object.
func (r *BacktestResult) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
