package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/nudged/nudged/internal/guard"
	"github.com/nudged/nudged/internal/outcomes"
)

// Guardrail is how often an event came that a guardrail watches for, over all
// exposed users, mature or not.
type Guardrail struct {
	Name string         `json:"name"`
	Arms []GuardrailArm `json:"arms"`
	// The limits, if the rules tell them.
	MaxPercent float64 `json:"max_percent,omitempty"`
	MaxRatio   float64 `json:"max_ratio,omitempty"`
	Alarm      bool    `json:"alarm"` // a limit is passed, by the test that auto_pause goes by
	Statement  string  `json:"statement"`
}

// GuardrailArm is one arm of it.
type GuardrailArm struct {
	Name    string   `json:"name"`
	Exposed int      `json:"exposed"`
	Hits    int      `json:"hits"`
	Rate    *float64 `json:"rate"`
}

// guardrails are those of the rules in their order, then others that were seen.
func (d *Data) guardrails(c *outcomes.Cohort) error {
	counts := guard.Counts{Phase: guard.Phase{Experiment: c.Experiment, Phase: c.Phase}, Exposed: map[string]int{}, Hits: map[string]map[string]int{}}
	for i := range d.Arms {
		counts.Exposed[d.Arms[i].Name] = d.Arms[i].All
	}
	byName := c.HitsUntil(d.Options.At)
	var names []string
	var found []guard.Finding
	for name, hits := range byName {
		counts.Hits[name] = hits
		names = append(names, name)
	}
	slices.Sort(names)
	list := map[string]*Guardrail{}
	if x := d.Options.Experiment; x != nil {
		var err error
		if found, err = counts.Check(x); err != nil {
			return err
		}
		var ordered []string
		for _, g := range x.Guardrails {
			ordered = append(ordered, g.Name)
			list[g.Name] = &Guardrail{Name: g.Name, MaxPercent: g.MaxRate * 100, MaxRatio: g.MaxRatio}
		}
		for _, name := range names {
			if !slices.Contains(ordered, name) {
				ordered = append(ordered, name)
			}
		}
		names = ordered
	}
	for _, name := range names {
		g := list[name]
		if g == nil {
			g = &Guardrail{Name: name}
		}
		for i := range d.Arms {
			a := GuardrailArm{Name: d.Arms[i].Name, Exposed: d.Arms[i].All, Hits: byName[name][d.Arms[i].Name]}
			if a.Exposed > 0 {
				a.Rate = some(float64(a.Hits) / float64(a.Exposed))
			}
			g.Arms = append(g.Arms, a)
		}
		g.state(found)
		d.Guardrails = append(d.Guardrails, *g)
	}
	return nil
}

func (g *Guardrail) state(found []guard.Finding) {
	var said []string
	for _, f := range found {
		if f.Guardrail == g.Name {
			g.Alarm = true
			said = append(said, "Past its limit: "+f.Statement+".")
		}
	}
	switch {
	case g.Alarm:
		g.Statement = strings.Join(said, " ")
	case g.MaxPercent == 0 && g.MaxRatio == 0:
		g.Statement = "Its limit is not known; give the rules with --rules."
	default:
		g.Statement = "Not seen to be past its limit: " + g.limits() + "."
	}
}

func (g *Guardrail) limits() string {
	var parts []string
	if g.MaxPercent > 0 {
		parts = append(parts, fmt.Sprintf("%.4g %% of an arm", g.MaxPercent))
	}
	if g.MaxRatio > 0 {
		parts = append(parts, fmt.Sprintf("%.4g times the control", g.MaxRatio))
	}
	return strings.Join(parts, ", ")
}

func (r *Report) guardrailTable(w io.Writer) {
	t := newTable(w)
	t.AppendHeader(table.Row{"guardrail", "arm", "exposed, all", "hit", "rate"})
	for _, g := range r.Guardrails {
		for i, a := range g.Arms {
			name := ""
			if i == 0 {
				name = g.Name
			}
			t.AppendRow(table.Row{name, a.Name, count(a.Exposed), count(a.Hits), cell(a.Rate, percent)})
		}
	}
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 3, Align: text.AlignRight}, {Number: 4, Align: text.AlignRight}, {Number: 5, Align: text.AlignRight}})
	t.Render()
	for _, g := range r.Guardrails {
		fmt.Fprintf(w, "%s: %s\n", g.Name, g.Statement)
	}
}
