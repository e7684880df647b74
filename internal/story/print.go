package story

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/nudged/nudged/rules"
)

// Print writes the account for people.
func (a *Account) Print(w io.Writer) {
	fmt.Fprintf(w, "%s as of %s\n", a.User, a.AsOf)
	for i := range a.States {
		a.printState(w, &a.States[i])
	}
	if a.Past {
		a.printPast(w)
	}
	a.printCourse(w)
}

func (a *Account) printState(w io.Writer, s *State) {
	where := fmt.Sprintf("%s, partition %d", s.Topic, s.Partition)
	if !s.Known {
		fmt.Fprintf(w, "\nNothing is known of the user (%s).\n", where)
		return
	}
	fmt.Fprintf(w, "\nKnown (%s)\n", where)
	rows := [][3]string{}
	if s.LastEvent != "" {
		rows = append(rows, [3]string{"newest event", s.LastEvent, apart(moment(s.LastEvent), a.asOf)})
	}
	for _, v := range s.Values {
		rows = append(rows, [3]string{"user." + v.Name, string(v.Value), v.Words})
	}
	for _, v := range s.Metrics {
		text := string(v.Value)
		if text == "null" {
			text = "not known"
		}
		rows = append(rows, [3]string{v.Name, text, v.Words})
	}
	for _, l := range s.LastSends {
		rows = append(rows, [3]string{"last " + l.Rule, l.At, "the last send of the rule, for its cooldown"})
	}
	for _, e := range s.Exposures {
		words := "since " + e.At
		switch {
		case e.At == "":
			words = "long ago"
		case e.Converted:
			words += ", reached the goal"
		}
		for _, hit := range e.Hits {
			words += ", hit the guardrail " + hit
		}
		rows = append(rows, [3]string{"in " + e.Experiment, cmp.Or(e.Arm, "exposed"), words})
	}
	columns(w, rows)
	if len(s.Pending) == 0 {
		fmt.Fprintln(w, "\nNothing is pending.")
		return
	}
	fmt.Fprintln(w, "\nPending")
	for _, p := range s.Pending {
		fmt.Fprintf(w, "  %s, since the %s of %s\n      %s\n", name(p.Rule, p.Instance), typeWords(p.Trigger.Type), p.Trigger.Time, p.Words)
		for _, e := range p.Ends {
			fmt.Fprintf(w, "      ended before by: %s\n", e)
		}
	}
}

// printPast tells what was under way.
func (a *Account) printPast(w io.Writer) {
	fmt.Fprintln(w, "\nWhat was known of the user then is not kept.")
	if len(a.Pending) == 0 {
		fmt.Fprintln(w, "\nNothing was pending then, as far as later decisions tell.")
		return
	}
	fmt.Fprintln(w, "\nPending then, as far as later decisions tell")
	for _, p := range a.Pending {
		fmt.Fprintf(w, "  %s, since the %s of %s\n      %s\n", name(p.Rule, p.Instance), typeWords(p.Trigger.Type), p.Trigger.Time, p.Words)
	}
}

// printCourse tells what happened and what was decided, in the order of time.
func (a *Account) printCourse(w io.Writer) {
	if len(a.Decisions) == 0 && len(a.Events) == 0 {
		fmt.Fprintln(w, "\nNothing was decided.")
		return
	}
	type line struct {
		at, first, words string
	}
	var lines []line
	for _, e := range a.Events {
		lines = append(lines, line{at: e.At, first: e.Words})
	}
	for i := range a.Decisions {
		d := &a.Decisions[i]
		since := fmt.Sprintf("the %s of %s", typeWords(d.Trigger.Type), d.Trigger.Time)
		switch {
		case d.Decision == string(rules.Converted), d.Decision == string(rules.GuardrailHit):
			since = "by " + since
		case d.Due != d.Trigger.Time:
			since = fmt.Sprintf("due %s, since %s", d.Due, since)
		default:
			since = "at once, on " + since
		}
		lines = append(lines, line{d.Fired, "-> " + name(d.Rule, d.Instance) + ": " + d.Words, since})
	}
	slices.SortStableFunc(lines, func(x, y line) int { return cmp.Compare(moment(x.at), moment(y.at)) })
	what := "Decided"
	if len(a.Events) > 0 {
		what = "What happened, and what was decided"
	}
	fmt.Fprintf(w, "\n%s\n", what)
	for _, l := range lines {
		fmt.Fprintf(w, "  %-24s  %s\n", l.at, l.first)
		if l.words != "" {
			fmt.Fprintf(w, "  %-24s     %s\n", "", l.words)
		}
	}
}

func name(rule, instance string) string {
	if instance == "" {
		return rule
	}
	return rule + " [" + instance + "]"
}

func typeWords(typ string) string { return strings.ReplaceAll(typ, "_", " ") }

// columns lays rows out under each other.
func columns(w io.Writer, rows [][3]string) {
	var width [2]int
	for _, r := range rows {
		for i := range width {
			width[i] = max(width[i], min(len([]rune(r[i])), 40))
		}
	}
	for _, r := range rows {
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("  %-*s  %-*s  %s", width[0], r[0], width[1], r[1], r[2]), " "))
	}
}
