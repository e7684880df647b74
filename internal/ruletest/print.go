package ruletest

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/nudged/nudged/internal/story"
	"github.com/nudged/nudged/rules"
)

// always are the columns that every diff shows.
var always = []string{"at", "user", "rule", "decision"}

// Print writes the diff of a failed test as a table, and why below.
func (r *Result) Print(w io.Writer) {
	start := r.Test.start
	columns := r.columns()
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.SetOutputMirror(w)
	head := table.Row{""}
	for _, c := range columns {
		head = append(head, c)
	}
	t.AppendHeader(head)
	for _, row := range r.Diff {
		line := table.Row{label(row)}
		for _, c := range columns {
			cell := ""
			switch {
			case row.Mark != Missing:
				cell = row.got.shown(fieldOf(c), start)
			case slices.Contains(row.want.keys, c):
				cell = row.want.shown(c, start)
			}
			if row.Mark == Missing && row.Pair && cell != "" && !row.want.agrees(c, row.got, start) {
				cell += " *"
			}
			line = append(line, cell)
		}
		t.AppendRow(line)
	}
	t.Render()
	for _, why := range r.Why {
		fmt.Fprintf(w, "why: %s\n", why)
	}
}

func label(row Row) string {
	switch {
	case row.Mark == Same:
		return "as expected"
	case row.Mark == Missing:
		return "expected"
	case row.Pair:
		return "happened instead"
	}
	return "happened, not expected"
}

// columns are those that every diff shows, and those in which something expected
// differs.
func (r *Result) columns() []string {
	var columns []string
	for _, f := range fields {
		shown := slices.Contains(always, f.name)
		for _, row := range r.Diff {
			if row.Mark != Missing || !slices.Contains(row.want.keys, f.name) {
				continue
			}
			shown = shown || !row.Pair || !row.want.agrees(f.name, row.got, r.Test.start)
		}
		if shown {
			columns = append(columns, f.name)
		}
	}
	return columns
}

// Cells returns what a row shows, by key, for JSON.
func (r *Result) Cells(row Row) map[string]string {
	cells := map[string]string{}
	for _, f := range fields {
		switch {
		case row.Mark != Missing:
			if text := row.got.shown(f, r.Test.start); text != "" {
				cells[f.name] = text
			}
		case slices.Contains(row.want.keys, f.name):
			cells[f.name] = row.want.shown(f.name, r.Test.start)
		}
	}
	return cells
}

// why says in a line for each expectation that was not met what happened
// instead.
func (w *world) why(diff []Row) []string {
	var lines []string
	add := func(line string) {
		if line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	for _, row := range diff {
		switch {
		case row.Mark != Missing:
		case row.Pair:
			add(w.instead(row))
		default:
			add(w.never(row.want))
		}
	}
	if slices.ContainsFunc(diff, func(r Row) bool { return r.Mark == Missing && r.want.given["decision"] == string(rules.Expired) }) {
		add("in a rule test everything fires on time: expired comes up in the daemon alone, when it fires late")
	}
	if len(diff) > 0 {
		for _, typ := range w.unread {
			add(fmt.Sprintf("no rule reads events of type %s", typ))
		}
		if len(lines) == 0 && sameUnordered(diff) {
			add("the same decisions, in another order: expect lists them by time, then user")
		}
	}
	return lines
}

// instead tells of a firing that came out differently.
func (w *world) instead(row Row) string {
	h, start := row.got, w.test.start
	about := fmt.Sprintf("%s of %s at %s: ", h.Rule, h.User, formatMoment(h.at, start))
	var differ []string
	for _, key := range row.want.keys {
		if !row.want.agrees(key, h, start) {
			differ = append(differ, key)
		}
	}
	switch {
	case slices.Contains(differ, "decision"):
		about += story.Why(&h.Message)
		switch rules.Outcome(h.Decision) {
		case rules.ControlArm:
			about += "; to test both arms write arms: {" + h.Experiment + ": …}"
		case rules.HeldOut:
			about += "; to test without it write holdout: false"
		}
		return about
	case slices.Contains(differ, "arm"):
		return about + "the hash puts the user into the arm " + h.Arm + "; arms: {" + h.Experiment + ": …} pins it"
	}
	for i, key := range differ {
		differ[i] = fmt.Sprintf("%s is %s", key, cmp.Or(h.shown(fieldOf(key), start), "not there"))
	}
	return about + strings.Join(differ, ", ")
}

// never tells why nothing at all stands beside an expectation.
func (w *world) never(x *expectation) string {
	rule, _ := x.given["rule"].(string)
	user, _ := x.given["user"].(string)
	if rule == "" || user == "" {
		return ""
	}
	start := w.test.start
	var decided []string
	for i := range w.happened {
		if h := &w.happened[i]; h.Rule == rule && h.User == user {
			decided = append(decided, h.Decision+" at "+formatMoment(h.at, start))
		}
	}
	if st := w.sim.State(user); st != nil {
		for i := range st.Instances() {
			in := &st.Instances()[i]
			if in.RuleName(w.set) == rule {
				return fmt.Sprintf("%s of %s is still pending at %s: due at %s", rule, user, formatMoment(w.clock, start), formatMoment(in.Due, start))
			}
		}
	}
	if len(decided) > 0 {
		return fmt.Sprintf("%s of %s was decided otherwise: %s", rule, user, strings.Join(decided, ", "))
	}
	var types []string
	for i := range w.test.events {
		if e := &w.test.events[i]; e.user == user && !slices.Contains(types, e.typ) {
			types = append(types, e.typ)
		}
	}
	on := ""
	for _, r := range w.set.Rules {
		if r.Name == rule && len(r.On) > 0 {
			on = " (on: " + strings.Join(r.On, ", ") + ")"
		}
	}
	if len(types) == 0 {
		return fmt.Sprintf("the test has no event of %s", user)
	}
	return fmt.Sprintf("%s%s decided nothing for %s, whose events are: %s", rule, on, user, strings.Join(types, ", "))
}

// sameUnordered tells whether what is missing happened, only elsewhere.
func sameUnordered(diff []Row) bool {
	missing, extra := 0, 0
	for _, row := range diff {
		switch row.Mark {
		case Missing:
			missing++
		case Extra:
			extra++
		}
	}
	return missing == extra
}
