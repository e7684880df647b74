package funnel

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Formats that Write knows.
var Formats = []string{"text", "json", "csv", "html"}

// shownParts and shownCategories bound what is shown to people; JSON and CSV
// have all.
const (
	shownParts      = 60
	shownCategories = 20
)

// Write writes the result as text, json, csv or html.
func (r *Result) Write(w io.Writer, format string) error {
	switch format {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	case "csv":
		return r.csv(w)
	case "html":
		return r.html(w)
	}
	r.text(w)
	return nil
}

var english = message.NewPrinter(language.English)

func count(n int) string { return english.Sprintf("%d", n) }

func percent(x *float64) string {
	switch {
	case x == nil:
		return "-"
	case *x != 0 && *x < 0.1:
		return english.Sprintf("%.2f %%", *x*100)
	}
	return english.Sprintf("%.1f %%", *x*100)
}

// took writes seconds the way people say them.
func took(s *float64) string {
	if s == nil {
		return "-"
	}
	switch d := time.Duration(math.Round(*s)) * time.Second; {
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", *s)
	case d < 2*time.Hour:
		return fmt.Sprintf("%.1f min", *s/60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%.1f h", *s/3600)
	}
	return fmt.Sprintf("%.1f days", *s/86400)
}

func (r *Result) headline() string {
	if r.Events == 0 {
		return "There are no events."
	}
	return english.Sprintf("%d events of %d users, %s to %s (UTC).", r.Events, r.Users, readable(r.From), readable(r.To))
}

func readable(rfc3339 string) string {
	at, err := time.Parse(time.RFC3339, rfc3339)
	if err != nil {
		return rfc3339
	}
	return at.Format("2006-01-02 15:04")
}

func (l *Leak) words() string {
	share := l.Rate
	return fmt.Sprintf("The largest leak is from %s to %s: %s of %s users do not go on (%s).",
		l.From, l.To, count(l.Lost), count(l.before()), percent(&share))
}

// before is how many took the step that the leak is behind.
func (l *Leak) before() int {
	if l.Rate == 0 {
		return l.Lost
	}
	return int(math.Round(float64(l.Lost) / l.Rate))
}

func (l *Lapse) words() string {
	if l.Days == nil {
		return "When a user counts as lapsed cannot be told: " + l.Why + "."
	}
	return english.Sprintf("After %d quiet days a user counts as lapsed: %s of those do not come back (as far as the data sees, %d days on).",
		*l.Days, percent(l.NeverReturn), l.HorizonDays)
}

// unitWords says what a journey of NewAndReturning is.
func (r *Result) unitWords() string { return "users by " + string(r.unit) }

func (r *Result) text(w io.Writer) {
	fmt.Fprintln(w, r.headline())
	fmt.Fprintln(w)
	stepTable(w, "step", r.Steps)
	if r.Leak != nil {
		fmt.Fprintln(w, r.Leak.words())
	}
	if len(r.Periods) > 0 {
		fmt.Fprintf(w, "\nBy %s:\n", r.opts.Period)
		partTable(w, string(r.opts.Period), r.Periods)
	}
	if len(r.Sources) > 0 {
		fmt.Fprintf(w, "\nBy %s (the first that a user's events name):\n", r.opts.By)
		partTable(w, r.opts.By, r.Sources)
	}
	fmt.Fprintf(w, "\nNew and returning (%s):\n", r.unitWords())
	partTable(w, "users", r.NewAndReturning)
	fmt.Fprintf(w, "\n%s\n", r.Lapse.words())
	if len(r.Repurchase) > 0 {
		fmt.Fprintln(w, "\nDays between two purchases of a user:")
		t := newTable(w, 5)
		t.AppendHeader(table.Row{"category", "intervals", "median", "a quarter below", "a quarter above"})
		for i, p := range r.Repurchase {
			if i > shownCategories {
				t.AppendRow(table.Row{fmt.Sprintf("… and %d more", len(r.Repurchase)-i)})
				break
			}
			t.AppendRow(table.Row{p.name(), count(p.Intervals), days(p.Median), days(p.P25), days(p.P75)})
		}
		t.Render()
	}
	for _, n := range r.Notes {
		fmt.Fprintln(w, "-", n)
	}
}

func (p *Repurchase) name() string {
	if p.Category == "" {
		return "(any)"
	}
	return p.Category
}

func days(x float64) string {
	if x < 1 {
		return english.Sprintf("%.3f", x)
	}
	return english.Sprintf("%.1f", x)
}

func newTable(w io.Writer, columns int) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.SetOutputMirror(w)
	var right []table.ColumnConfig
	for i := 2; i <= columns; i++ {
		right = append(right, table.ColumnConfig{Number: i, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(right)
	return t
}

func stepTable(w io.Writer, first string, steps []StepCount) {
	t := newTable(w, 7)
	t.AppendHeader(table.Row{first, "users", "of the step before", "of all", "median time", "90 % within", "in any order"})
	for _, s := range steps {
		name := s.Step
		if s.Optional {
			name += " (optional)"
		}
		t.AppendRow(table.Row{name, count(s.Users), percent(s.Rate), percent(s.Overall), took(s.Median), took(s.P90), count(s.AnyOrder)})
	}
	t.Render()
}

// partTable shows users and, in brackets, the rate of each step.
func partTable(w io.Writer, first string, parts []Part) {
	t := newTable(w, len(parts[0].Steps)+2)
	head := table.Row{first}
	for _, s := range parts[0].Steps {
		head = append(head, s.Step)
	}
	t.AppendHeader(append(head, "of all"))
	for i, p := range parts {
		if i == shownParts {
			t.AppendRow(table.Row{fmt.Sprintf("… and %d more", len(parts)-i)})
			break
		}
		row := table.Row{p.Name}
		for _, s := range p.Steps {
			if s.Rate == nil {
				row = append(row, count(s.Users))
			} else {
				row = append(row, count(s.Users)+" ("+percent(s.Rate)+")")
			}
		}
		t.AppendRow(append(row, percent(p.Steps[len(p.Steps)-1].Overall)))
	}
	t.Render()
}

// csv writes a row for each step of each part.
func (r *Result) csv(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"part", "name", "step", "users", "any_order", "rate", "overall", "median_s", "p90_s"}); err != nil {
		return err
	}
	write := func(part string, p Part) error {
		for _, s := range p.Steps {
			if err := out.Write([]string{part, p.Name, s.Step, strconv.Itoa(s.Users), strconv.Itoa(s.AnyOrder), num(s.Rate), num(s.Overall), num(s.Median), num(s.P90)}); err != nil {
				return err
			}
		}
		return nil
	}
	if err := write("all", Part{"", r.Steps}); err != nil {
		return err
	}
	for _, group := range []struct {
		name  string
		parts []Part
	}{{"period", r.Periods}, {"source", r.Sources}, {"users", r.NewAndReturning}} {
		for _, p := range group.parts {
			if err := write(group.name, p); err != nil {
				return err
			}
		}
	}
	out.Flush()
	return out.Error()
}

func num(x *float64) string {
	if x == nil {
		return ""
	}
	return strconv.FormatFloat(*x, 'g', 12, 64)
}
