package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/nudged/nudged/experiment/stats"
	"github.com/nudged/nudged/internal/page"
)

//go:embed report.html
var body string

// footnotes say of every figure how it comes about.
var footnotes = page.Notes{
	{ID: "exposed", Name: "Exposed", Text: "Users for whom the message would have gone out, in every arm alike; the first time counts, once per user and phase. Only users whose goal window has passed are counted, so that everybody had the same time to convert."},
	{ID: "converted", Name: "Converted", Text: "Exposed users with at least one goal event after the exposure and within the window."},
	{ID: "rate", Name: "Rate", Text: "Converted divided by exposed. The whiskers in the plot are Wilson's 95 % interval of each rate alone."},
	{ID: "value", Name: "Value", Text: "The values of all goal events within the window, summed up. Per user: divided by all exposed users, those without a conversion included. sd is how much it varies from user to user (sample standard deviation)."},
	{ID: "srm", Name: "Sample ratio", Text: "Pearson's chi-square test of how many users each arm has against how many it was meant to have, over all exposed users. It is an alarm when p is below 0.001: then something is broken, and no verdict is given."},
	{ID: "z", Name: "Difference in conversion", Text: "Arm minus control, in percentage points. p is that of the two-proportion z-test (pooled); the 95 % interval is not pooled (Wald). Both hold for one look at a time fixed beforehand."},
	{ID: "welch", Name: "Difference in value", Text: "Arm minus control, per exposed user; p and the 95 % interval are those of Welch's t-test. Both hold for one look at a time fixed beforehand."},
	{ID: "lift", Name: "Lift", Text: "The difference relative to the control: +10 % is a tenth more than the control has. The intervals come from the delta method."},
	{ID: "av", Name: "Always valid", Text: "A 95 % interval that holds however often one looks, so one may look every day and stop at any time: the asymptotic confidence sequence of Waudby-Smith et al. (2021), narrowest around 5,000 users. It is wider than the fixed interval; that is the price of looking."},
	{ID: "verdict", Name: "Verdict", Text: "Better or worse when the always-valid interval of the conversion (of the value where conversions are not known) lies wholly above or below zero; with several arms the p-values behind it are adjusted by Holm's method."},
	{ID: "more", Name: "How many more users", Text: "Until an effect of this size would be seen by the always-valid interval with a chance of 80 %."},
	{ID: "holm", Name: "Adjusted p", Text: "The p-values of the fixed tests, adjusted by Holm's method for the number of arms that are compared."},
	{ID: "cuped", Name: "CUPED", Text: "The difference in value after taking off what a figure known before the experiment (the covariate) foretells of each user, by Welch's t-test. Variance less by 50 % means that half the users give the same certainty."},
	{ID: "net", Name: "After costs", Text: "Value minus the cost of each message sent within the window, minus the coupon's cost for each converted user of an arm that is sent to; compared by Welch's t-test."},
	{ID: "guardrail", Name: "Guardrails", Text: "Exposed users, mature or not, to whom an event came that the guardrail watches for, within its window after the exposure. The alarm is raised by a test that may be looked at as often as one likes and is wrong in at most 1 of 1,000 experiments; who may still be hit counts as not hit."},
	{ID: "time", Name: "Plots over time", Text: "Each point takes in all users exposed up to then (times in UTC)."},
}

var bodyTemplate = template.Must(template.New("report").Funcs(footnotes.Funcs()).Parse(body))

// view is a report as the page shows it.
type view struct {
	*Report
	Title, Period string
	RatioChart    template.HTML
	RateChart     template.HTML
	Compared      []compared
	Rows          []armRow
	Rails         []railView
	HasConverted  bool
	HasValue      bool
	HasNet        bool
	Several       bool
}

type armRow struct {
	Name, Exposed, Converted, Rate, Sum, Mean, SD, Net, NetMean string
}

// railView is a guardrail as the page shows it.
type railView struct {
	Name, Limits, Statement string
	Alarm                   bool
	Rows                    []armRow
}

type compared struct {
	*Comparison
	Headline, Words, Class, Holm string
	Figures                      []figure
	Lift                         template.HTML
	LiftOf                       string
}

func writeHTML(w io.Writer, reports []*Report) error {
	var views []view
	title := "Experiments"
	for _, r := range reports {
		views = append(views, r.view())
	}
	if len(reports) == 1 {
		title = "Experiment " + reports[0].title()
	}
	inner, err := page.Body(bodyTemplate, views)
	if err != nil {
		return fmt.Errorf("the page of the report: %w", err)
	}
	return page.Write(w, page.Page{Title: title, Body: inner, Footnotes: footnotes})
}

func (r *Report) view() view {
	v := view{
		Report: r, Title: r.title(), Period: r.period(), RatioChart: r.ratioChart(), RateChart: r.rateChart(),
		HasConverted: r.data.Converted, HasValue: r.data.Value, HasNet: r.data.Value && r.data.Options.costs(), Several: len(r.Comparisons) > 1,
	}
	for _, a := range r.allArms() {
		row := armRow{
			Name: a.Name, Exposed: count(a.Exposed), Rate: cell(a.Rate, percent), Sum: cell(a.ValueSum, amount), Mean: cell(a.ValueMean, amount),
			SD: cell(a.ValueSD, amount), Net: cell(a.NetSum, amount), NetMean: cell(a.NetMean, amount),
		}
		if a.Converted != nil {
			row.Converted = count(*a.Converted)
		}
		v.Rows = append(v.Rows, row)
	}
	for i := range r.Guardrails {
		g := &r.Guardrails[i]
		rail := railView{Name: g.Name, Limits: g.limits(), Statement: g.Statement, Alarm: g.Alarm}
		for _, a := range g.Arms {
			rail.Rows = append(rail.Rows, armRow{Name: a.Name, Exposed: count(a.Exposed), Converted: count(a.Hits), Rate: cell(a.Rate, percent)})
		}
		v.Rails = append(v.Rails, rail)
	}
	for i := range r.Comparisons {
		c := &r.Comparisons[i]
		k := compared{Comparison: c, Figures: c.figures(), Holm: cell(c.PHolm, pvalue)}
		k.Headline, k.Class = headline(c.Verdict)
		// The first words are the headline.
		if first, rest, found := strings.Cut(c.Statement, ": "); found && c.Verdict != WrongRatio {
			k.Headline, k.Words = first, rest
		} else {
			k.Words = c.Statement
		}
		k.Lift, k.LiftOf = r.liftChart(i)
		v.Compared = append(v.Compared, k)
	}
	return v
}

func headline(v Verdict) (words, class string) {
	switch v {
	case Better:
		return "Better", "better"
	case Worse:
		return "Worse", "worse"
	case WrongRatio:
		return "No verdict: the arms have the wrong sizes", "alarm"
	}
	return "No difference seen yet", ""
}

func (r *Report) rateChart() template.HTML {
	c := page.BarChart{Label: "Conversion by arm"}
	if !r.data.Converted {
		c.Label = "Value per user by arm"
	}
	for i, a := range r.data.Arms {
		if a.Conversion.N == 0 {
			continue
		}
		bar := page.Bar{Label: a.Name, Color: i}
		if r.data.Converted {
			iv := a.Conversion.Interval()
			bar.Value, bar.Low, bar.High = a.Conversion.Rate(), iv.Low, iv.High
			bar.Text = percent(bar.Value)
			bar.Tip = fmt.Sprintf("%s: %s of %s users converted (95 %% interval %s to %s)", a.Name, count(a.Conversion.Converted), count(a.Conversion.N), percent(iv.Low), percent(iv.High))
		} else {
			bar.Value = max(0, a.Value.Mean)
			bar.Text = amount(a.Value.Mean)
			bar.Tip = fmt.Sprintf("%s: %s per user over %s users", a.Name, amount(a.Value.Mean), count(a.Value.N))
		}
		c.Bars = append(c.Bars, bar)
	}
	if len(c.Bars) == 0 {
		return ""
	}
	return c.HTML()
}

// liftChart shows how the lift and its always-valid interval came to where they
// are; without a lift, the difference.
func (r *Report) liftChart(i int) (template.HTML, string) {
	arm := i + 1
	s := page.Series{Name: r.data.Arms[arm].Name, Band: true}
	users := 0
	for _, m := range r.data.Moments {
		now := m.Conversion[0].N + m.Conversion[arm].N
		if now == users { // nobody new who is mature
			continue
		}
		users = now
		var l stats.Lift
		var err error
		if r.data.Converted {
			l, err = stats.ConversionLift(m.Conversion[0], m.Conversion[arm])
		} else {
			l, err = stats.ValueLift(m.Value[0], m.Value[arm])
		}
		if err != nil {
			continue
		}
		s.Points = append(s.Points, page.Point{
			At: m.At, Y: l.Lift, Low: l.AlwaysValid.Low, High: l.AlwaysValid.High,
			Tip: fmt.Sprintf("%s: %s users, lift %s, always valid %s to %s", moment(m.At), count(users), signedPercent(l.Lift), signedPercent(l.AlwaysValid.Low), signedPercent(l.AlwaysValid.High)),
		})
	}
	if len(s.Points) < 2 {
		return "", ""
	}
	of := "conversion"
	if !r.data.Converted {
		of = "value per user"
	}
	return page.LineChart{
		Label:  fmt.Sprintf("Lift in %s of %s over %s, %s", of, s.Name, r.data.Arms[0].Name, r.title()),
		Series: []page.Series{s}, Format: func(x float64) string { return axisPercent(x, true) }, Marks: []float64{0}, Offset: arm, Clip: 0.3,
	}.HTML(), of
}

// ratioChart shows how far each arm's share of the exposed users is from the
// intended one, and how far chance would take it.
func (r *Report) ratioChart() template.HTML {
	if len(r.data.Moments) < 2 || len(r.data.Arms) < 2 {
		return ""
	}
	var weights, widest float64
	for _, a := range r.data.Arms {
		weights += a.Weight
	}
	for _, a := range r.data.Arms {
		widest = max(widest, a.Weight/weights*(1-a.Weight/weights))
	}
	// Two-sided, at the p-value of the alarm.
	reach := distuv.UnitNormal.Quantile(1-stats.RatioAlarm/2) * math.Sqrt(widest)
	c := page.LineChart{
		Label: "Sample ratio of " + r.title(), Marks: []float64{0}, Clip: 0.15,
		Format: func(x float64) string { return axisPercent(x, true) },
	}
	chance := page.Series{Name: "within chance", Band: true, Color: "#5b6875"}
	for i, a := range r.data.Arms {
		s := page.Series{Name: a.Name}
		for _, m := range r.data.Moments {
			total := 0
			for _, n := range m.All {
				total += n
			}
			if total == 0 {
				continue
			}
			if i == 0 {
				half := reach / math.Sqrt(float64(total))
				chance.Points = append(chance.Points, page.Point{At: m.At, Y: math.NaN(), Low: -half, High: half})
			}
			share := float64(m.All[i]) / float64(total)
			s.Points = append(s.Points, page.Point{
				At: m.At, Y: share - a.Weight/weights,
				Tip: fmt.Sprintf("%s: %s of %s users in %s (%s, intended %s)", moment(m.At), count(m.All[i]), count(total), a.Name, percent(share), percent(a.Weight/weights)),
			})
		}
		c.Series = append(c.Series, s)
	}
	c.Series = append(c.Series, chance)
	return c.HTML()
}

func axisPercent(x float64, signed bool) string {
	rounded := math.Round(x*1e6) / 1e4
	s := fmt.Sprintf("%.4g %%", rounded+0) // not -0
	if signed && rounded > 0 {
		s = "+" + s
	}
	return s
}
