package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Formats that Write knows.
var Formats = []string{"text", "json", "csv", "html"}

// Write writes reports in a format: text, json, csv or html. As JSON a single
// report is an object, several are an array.
func Write(w io.Writer, format string, reports []*Report) error {
	switch format {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		if len(reports) == 1 {
			return enc.Encode(reports[0])
		}
		return enc.Encode(reports)
	case "csv":
		return writeCSV(w, reports)
	case "html":
		return writeHTML(w, reports)
	}
	for i, r := range reports {
		if i > 0 {
			fmt.Fprintln(w)
		}
		r.text(w)
	}
	return nil
}

func (r *Report) title() string {
	if r.Phase > 1 {
		return fmt.Sprintf("%s, phase %d", r.Experiment, r.Phase)
	}
	return r.Experiment
}

// period says whom the figures are about.
func (r *Report) period() string {
	s := ""
	if r.From != "" {
		s = fmt.Sprintf("Users exposed from %s to %s. ", readable(r.data.From), readable(r.data.Until))
	}
	if r.WindowMillis > 0 {
		s += fmt.Sprintf("A conversion counts within %s of the first exposure; only users whose window has passed by %s are counted.", span(r.WindowMillis), readable(r.data.Options.At))
	}
	return strings.TrimSpace(s)
}

func (r *Report) text(w io.Writer) {
	fmt.Fprintf(w, "EXPERIMENT %s\n", r.title())
	if p := r.period(); p != "" {
		fmt.Fprintln(w, p)
	}
	fmt.Fprintf(w, "\nSample ratio: %s\n", r.SRM.Statement)
	for i := range r.Comparisons {
		c := &r.Comparisons[i]
		fmt.Fprintf(w, "\n%s against %s: %s\n", c.Arm, c.Control, c.Statement)
	}
	fmt.Fprintln(w)
	r.armTable(w)
	for i := range r.Comparisons {
		fmt.Fprintln(w)
		r.comparisonTable(w, &r.Comparisons[i])
	}
	if len(r.Comparisons) > 0 {
		fmt.Fprintln(w, "Intervals are at 95 %. The always-valid ones hold however often one looks; verdicts rest on them.")
	}
	if len(r.Guardrails) > 0 {
		fmt.Fprintln(w)
		r.guardrailTable(w)
	}
	for _, n := range r.Notes {
		fmt.Fprintln(w, "-", n)
	}
}

func newTable(w io.Writer) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.SetOutputMirror(w)
	return t
}

func (r *Report) allArms() []Arm {
	arms := r.Arms
	if r.Holdout != nil {
		h := *r.Holdout
		h.Name = "holdout (all rules)"
		arms = append(arms[:len(arms):len(arms)], h)
	}
	return arms
}

func (r *Report) armTable(w io.Writer) {
	t := newTable(w)
	head := table.Row{"arm", "exposed"}
	if r.data.Converted {
		head = append(head, "converted", "rate")
	}
	if r.data.Value {
		head = append(head, "value", "per user", "sd")
		if r.data.Options.costs() {
			head = append(head, "after costs", "per user")
		}
	}
	t.AppendHeader(head)
	for _, a := range r.allArms() {
		row := table.Row{a.Name, count(a.Exposed)}
		if r.data.Converted {
			row = append(row, count(*a.Converted), cell(a.Rate, percent))
		}
		if r.data.Value {
			row = append(row, cell(a.ValueSum, amount), cell(a.ValueMean, amount), cell(a.ValueSD, amount))
			if r.data.Options.costs() {
				row = append(row, cell(a.NetSum, amount), cell(a.NetMean, amount))
			}
		}
		t.AppendRow(row)
	}
	var right []table.ColumnConfig
	for i := 2; i <= len(head); i++ {
		right = append(right, table.ColumnConfig{Number: i, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(right)
	t.Render()
}

// figure is one row of a comparison, for tables of any kind.
type figure struct {
	Name, Estimate, CI, AlwaysValid, P string
	About                              string // the footnote that says how it is computed
}

func (c *Comparison) figures() []figure {
	var out []figure
	if v := c.Conversion; v != nil {
		out = append(out,
			figure{"conversion, percentage points", cell(v.Diff, signedPoints), between(v.CI, signedPoints), between(v.AlwaysValidCI, signedPoints), cell(v.P, pvalue), "z"},
			figure{"conversion, lift", cell(v.Lift, signedPercent), between(v.LiftCI, signedPercent), between(v.LiftAlwaysValidCI, signedPercent), "", "lift"})
	}
	if v := c.Value; v != nil {
		out = append(out,
			figure{"value per user", cell(v.Diff, signedAmount), between(v.CI, signedAmount), between(v.AlwaysValidCI, signedAmount), cell(v.P, pvalue), "welch"},
			figure{"value per user, lift", cell(v.Lift, signedPercent), between(v.LiftCI, signedPercent), between(v.LiftAlwaysValidCI, signedPercent), "", "lift"})
		if u := v.CUPED; u != nil {
			name := "value per user, adjusted (CUPED)"
			if u.VarianceReduction != nil {
				name = fmt.Sprintf("value per user, adjusted (CUPED, variance less by %s)", percent(*u.VarianceReduction))
			}
			out = append(out, figure{name, cell(u.Diff, signedAmount), between(u.CI, signedAmount), "", cell(u.P, pvalue), "cuped"})
		}
	}
	if n := c.Net; n != nil {
		out = append(out, figure{"after costs, per user", cell(n.Diff, signedAmount), between(n.CI, signedAmount), between(n.AlwaysValidCI, signedAmount), "", "net"})
	}
	return out
}

func (r *Report) comparisonTable(w io.Writer, c *Comparison) {
	t := newTable(w)
	t.AppendHeader(table.Row{c.Arm + " less " + c.Control, "difference", "95 % interval", "always valid", "p"})
	for _, f := range c.figures() {
		t.AppendRow(table.Row{f.Name, f.Estimate, f.CI, f.AlwaysValid, f.P})
	}
	if len(r.Comparisons) > 1 && c.PHolm != nil {
		t.AppendRow(table.Row{"p, adjusted for several arms (Holm)", "", "", "", pvalue(*c.PHolm)})
	}
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 2, Align: text.AlignRight}, {Number: 3, Align: text.AlignRight}, {Number: 4, Align: text.AlignRight}, {Number: 5, Align: text.AlignRight}})
	t.Render()
}

// cell writes a figure, or a dash where there is none.
func cell(x *float64, write func(float64) string) string {
	if x == nil {
		return "-"
	}
	return write(*x)
}

func between(x *Range, write func(float64) string) string {
	if x == nil {
		return "-"
	}
	return write(x[0]) + " to " + write(x[1])
}

var csvHeader = []string{
	"experiment", "phase", "arm", "control", "exposed", "converted", "rate", "value_sum", "value_mean", "value_sd", "net_sum", "srm_p",
	"conversion_diff", "conversion_ci_low", "conversion_ci_high", "conversion_z", "conversion_p", "conversion_lift",
	"conversion_always_valid_low", "conversion_always_valid_high",
	"value_diff", "value_ci_low", "value_ci_high", "value_t", "value_df", "value_p", "value_lift", "value_always_valid_low", "value_always_valid_high",
	"net_diff", "p_holm", "verdict",
}

// writeCSV writes a row for each arm; the control's has no comparison.
func writeCSV(w io.Writer, reports []*Report) error {
	out := csv.NewWriter(w)
	if err := out.Write(csvHeader); err != nil {
		return err
	}
	for _, r := range reports {
		for i, a := range r.Arms {
			row := []string{
				r.Experiment, strconv.Itoa(r.Phase), a.Name, r.Arms[0].Name, strconv.Itoa(a.Exposed), "", num(a.Rate),
				num(a.ValueSum), num(a.ValueMean), num(a.ValueSD), num(a.NetSum), num(r.SRM.P),
			}
			if a.Converted != nil {
				row[5] = strconv.Itoa(*a.Converted)
			}
			if i > 0 {
				row = append(row, r.Comparisons[i-1].csv()...)
			}
			for len(row) < len(csvHeader) {
				row = append(row, "")
			}
			if err := out.Write(row); err != nil {
				return err
			}
		}
	}
	out.Flush()
	return out.Error()
}

func (c *Comparison) csv() []string {
	v, u, n := c.Conversion, c.Value, c.Net
	if v == nil {
		v = &Conversion{}
	}
	if u == nil {
		u = &Value{}
	}
	if n == nil {
		n = &Net{}
	}
	row := []string{num(v.Diff)}
	row = append(row, ends(v.CI)...)
	row = append(row, num(v.Z), num(v.P), num(v.Lift))
	row = append(row, ends(v.AlwaysValidCI)...)
	row = append(row, num(u.Diff))
	row = append(row, ends(u.CI)...)
	row = append(row, num(u.T), num(u.DF), num(u.P), num(u.Lift))
	row = append(row, ends(u.AlwaysValidCI)...)
	return append(row, num(n.Diff), num(c.PHolm), string(c.Verdict))
}

func num(x *float64) string {
	if x == nil {
		return ""
	}
	return strconv.FormatFloat(*x, 'g', 12, 64) // what is beyond is rounding
}

func ends(x *Range) []string {
	if x == nil {
		return []string{"", ""}
	}
	return []string{num(&x[0]), num(&x[1])}
}
