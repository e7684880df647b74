package backtest

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/nudged/nudged/rules"
)

// outcomeOrder is the order of the columns.
var outcomeOrder = []rules.Outcome{
	rules.Sent, rules.ControlArm, rules.HeldOut, rules.Excluded, rules.Condition, rules.Cooldown, rules.NoConsent,
	rules.Quiet, rules.Deferred, rules.Capped, rules.Expired, rules.Cancelled, rules.RuleRemoved, rules.Converted, rules.GuardrailHit, rules.Armed,
}

// Print writes the result as tables.
func (r *Result) Print(w io.Writer) {
	fmt.Fprintf(w, "%d events of %d users, %s to %s\n", r.Events, r.Users, r.From, r.To)
	fmt.Fprintf(w, "bad lines %d, of types no rule reads %d, repeated ids %d, instances still pending %d\n\n",
		r.BadLines, r.Unread, r.Duplicates, r.Pending)
	r.printOutcomes(w)
	r.printImpact(w)
	r.printDays(w)
	if r.Compare != nil {
		r.Compare.print(w)
	}
}

func newTable(w io.Writer, head ...any) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.SetOutputMirror(w)
	t.AppendHeader(table.Row(head))
	return t
}

func (r *Result) printOutcomes(w io.Writer) {
	head := []any{"rule"}
	var used []string
	for _, o := range outcomeOrder {
		if slices.ContainsFunc(r.Rules, func(x RuleResult) bool { return x.Outcomes[string(o)] > 0 }) || o == rules.Sent {
			used = append(used, string(o))
			head = append(head, string(o))
		}
	}
	t := newTable(w, head...)
	for _, x := range r.Rules {
		row := table.Row{x.Rule}
		for _, o := range used {
			row = append(row, x.Outcomes[o])
		}
		t.AppendRow(row)
	}
	t.Render()
}

// printImpact tells of every rule whom it reached, if any rule has a goal.
func (r *Result) printImpact(w io.Writer) {
	if !slices.ContainsFunc(r.Rules, func(x RuleResult) bool { return x.Impact.Converted != nil }) {
		return
	}
	fmt.Fprintf(w, "\nWho would have been reached, and how many of them reached the goal without it:\n")
	t := newTable(w, "rule", "reached", "messages", "converted anyway", "rate")
	for _, x := range r.Rules {
		i := &x.Impact
		if i.Converted == nil {
			t.AppendRow(table.Row{x.Rule, i.Reached, i.Messages, "no goal", ""})
			continue
		}
		t.AppendRow(table.Row{x.Rule, i.Reached, i.Messages, *i.Converted, percent(i.Rate)})
	}
	rightFrom(t, 2, 5)
	t.Render()
	if r.Assume == nil {
		return
	}
	fmt.Fprintf(w, "\nIf %s of those reached converted:\n", percent(*r.Assume.Conversion))
	t = newTable(w, "rule", "buyers before", "buyers after", "value before", "value after", "cost", "net")
	for _, x := range r.Rules {
		if f := x.Impact.WhatIf; f != nil {
			t.AppendRow(table.Row{x.Rule, amount(f.BuyersBefore), amount(f.BuyersAfter), amount(f.ValueBefore), amount(f.ValueAfter), amount(f.Cost), amount(f.Net)})
		}
	}
	rightFrom(t, 2, 7)
	t.Render()
}

func (r *Result) printDays(w io.Writer) {
	if !slices.ContainsFunc(r.Days, func(d DayResult) bool { return d.Sent > 0 }) {
		return
	}
	fmt.Fprintln(w)
	t := newTable(w, "day (UTC)", "rule", "sent")
	for _, d := range r.Days {
		if d.Sent > 0 {
			t.AppendRow(table.Row{d.Day, d.Rule, d.Sent})
		}
	}
	t.Render()
}

func (c *Comparison) print(w io.Writer) {
	fmt.Fprintf(w, "\nUnder the second rule set (before: the first, after: the second):\n")
	t := newTable(w, "rule", "messages before", "after", "users before", "after", "gain", "lose")
	add := func(d *RuleDiff, name string) {
		t.AppendRow(table.Row{name, d.MessagesBefore, d.MessagesAfter, d.UsersBefore, d.UsersAfter, d.Gain, d.Lose})
	}
	for i := range c.Rules {
		add(&c.Rules[i], c.Rules[i].Rule)
	}
	t.AppendSeparator()
	add(&c.All, "all rules")
	t.Render()
	for i := range c.Rules {
		d := &c.Rules[i]
		if d.Gain > 0 {
			fmt.Fprintf(w, "%s: more messages for %s\n", d.Rule, examples(d.GainExamples, d.Gain))
		}
		if d.Lose > 0 {
			fmt.Fprintf(w, "%s: fewer messages for %s\n", d.Rule, examples(d.LoseExamples, d.Lose))
		}
	}
}

func examples(users []string, of int) string {
	list := strings.Join(users, ", ")
	if more := of - len(users); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}

func rightFrom(t table.Writer, from, to int) {
	var columns []table.ColumnConfig
	for n := from; n <= to; n++ {
		columns = append(columns, table.ColumnConfig{Number: n, Align: text.AlignRight})
	}
	t.SetColumnConfigs(columns)
}

func percent(share float64) string { return strconv.FormatFloat(share*100, 'f', 2, 64) + " %" }

// amount writes a number with its thousands apart, and two decimals if it has
// any.
func amount(v float64) string {
	s := strconv.FormatFloat(v, 'f', 2, 64)
	s = strings.TrimSuffix(s, ".00")
	sign, digits := "", s
	if strings.HasPrefix(s, "-") {
		sign, digits = "-", s[1:]
	}
	whole, rest, _ := strings.Cut(digits, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + " " + whole[i:]
	}
	if rest != "" {
		whole += "." + rest
	}
	return sign + whole
}

// JSON writes the result as one JSON object.
func (r *Result) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// CSV writes a line for each day and rule. Every column can be added up.
func (r *Result) CSV(w io.Writer) error {
	out := csv.NewWriter(w)
	head := []string{"day", "rule"}
	for _, o := range outcomeOrder {
		head = append(head, string(o))
	}
	head = append(head, "users_reached", "users_converted_anyway", "buyers_after", "value_before", "value_after", "cost", "net")
	_ = out.Write(head) // Flush tells
	for i := range r.Days {
		d := &r.Days[i]
		row := []string{d.Day, d.Rule}
		for _, o := range outcomeOrder {
			row = append(row, strconv.Itoa(d.Outcomes[string(o)]))
		}
		row = append(row, strconv.Itoa(d.Impact.Reached), "")
		if d.Impact.Converted != nil {
			row[len(row)-1] = strconv.Itoa(*d.Impact.Converted)
		}
		if f := d.Impact.WhatIf; f != nil {
			for _, v := range []float64{f.BuyersAfter, f.ValueBefore, f.ValueAfter, f.Cost, f.Net} {
				row = append(row, strconv.FormatFloat(v, 'f', -1, 64))
			}
		} else {
			row = append(row, "", "", "", "", "")
		}
		_ = out.Write(row)
	}
	out.Flush()
	return out.Error()
}
