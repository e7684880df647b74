package funnel

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/nudged/nudged/internal/page"
)

//go:embed funnel.html
var body string

var footnotes = page.Notes{
	{ID: "users", Name: "Users", Text: "Users who took the step at or after the moment at which they had taken the required step before it. Each user counts once, however often the step was taken."},
	{ID: "rate", Name: "Of the step before", Text: "Users of this step divided by users of the required step before it."},
	{ID: "overall", Name: "Of all", Text: "Users of this step divided by users of the first step."},
	{ID: "time", Name: "Time", Text: "From the moment the required step before was first reached to the moment this one was: half of the users took no longer than the median, nine in ten no longer than the 90 % figure."},
	{ID: "any", Name: "In any order", Text: "Users who took the step at all, whatever else they did: the difference to Users are those who skipped a step."},
	{ID: "leak", Name: "Largest leak", Text: "The required step that the largest share of those who took the step before it do not take."},
	{ID: "part", Name: "By part", Text: "The same funnel over a part of the journeys; in brackets the rate of the step before. A period looks at each user's events within it (in UTC) alone; the source is the first that a user's events name."},
	{ID: "new", Name: "New and returning", Text: "A user counts once in each period (each day where no period is chosen): as new in that of the first event in the data, as returning in every later one."},
	{ID: "lapse", Name: "Lapsed", Text: "The least number of quiet days after which at least 90 % never return, estimated by Kaplan and Meier from the days between a user's visits; the last stretch of each user is not over and counts as that. 'Never' is as far as at least 30 users are still watched."},
	{ID: "repurchase", Name: "Days between purchases", Text: "Over all pairs of purchases of one user that follow each other in the same category."},
}

var bodyTemplate = template.Must(template.New("funnel").Funcs(footnotes.Funcs()).Funcs(template.FuncMap{
	"count": count, "percent": percent, "took": took, "days": days,
}).Parse(body))

type view struct {
	*Result
	Headline, LeakWords, LapseWords, Unit string
	Bars, Rates                           template.HTML
	Groups                                []group
	Shown                                 []Repurchase
}

type group struct {
	Title, First, Note string
	Head               []string
	Parts              []Part
	More               int
}

func (r *Result) html(w io.Writer) error {
	v := view{Result: r, Headline: r.headline(), LapseWords: r.Lapse.words(), Unit: r.unitWords(), Bars: r.bars(), Rates: r.rates(), Shown: r.Repurchase}
	if r.Leak != nil {
		v.LeakWords = r.Leak.words()
	}
	if len(v.Shown) > shownCategories+1 {
		v.Shown = v.Shown[:shownCategories+1]
	}
	v.group("By "+string(r.opts.Period), string(r.opts.Period), "part", r.Periods)
	v.group("By "+r.opts.By, r.opts.By, "part", r.Sources)
	v.group("New and returning ("+r.unitWords()+")", "users", "new", r.NewAndReturning)
	inner, err := page.Body(bodyTemplate, v)
	if err != nil {
		return fmt.Errorf("the page of the funnel: %w", err)
	}
	return page.Write(w, page.Page{Title: "Funnel", Body: inner, Footnotes: footnotes})
}

func (v *view) group(title, first, note string, parts []Part) {
	if len(parts) == 0 {
		return
	}
	g := group{Title: title, First: first, Note: note, Parts: parts}
	for _, s := range parts[0].Steps {
		g.Head = append(g.Head, s.Step)
	}
	if n := len(parts) - shownParts; n > 0 {
		g.Parts, g.More = parts[:shownParts], n
	}
	v.Groups = append(v.Groups, g)
}

func (r *Result) bars() template.HTML {
	if r.Events == 0 {
		return ""
	}
	c := page.BarChart{Label: "Users by step"}
	for _, s := range r.Steps {
		bar := page.Bar{Label: s.Step, Value: float64(s.Users), Text: count(s.Users)}
		if s.Rate != nil {
			bar.Text += " (" + percent(s.Rate) + ")"
		}
		if s.Optional {
			bar.Label += " (optional)"
			bar.Color = 5
		}
		bar.Tip = fmt.Sprintf("%s: %s users, %s of the step before, %s of all", s.Step, count(s.Users), percent(s.Rate), percent(s.Overall))
		c.Bars = append(c.Bars, bar)
	}
	return c.HTML()
}

// rates draws each required step's rate by period.
func (r *Result) rates() template.HTML {
	if len(r.Periods) < 2 {
		return ""
	}
	c := page.LineChart{Label: "Rate of each step by " + string(r.opts.Period), Format: func(x float64) string { return fmt.Sprintf("%.3g %%", x*100+0) }, Marks: []float64{0}}
	for i, s := range r.Steps {
		if i == 0 || s.Optional {
			continue
		}
		line := page.Series{Name: s.Step}
		for _, p := range r.Periods {
			at, err := time.Parse(time.DateOnly, p.Name)
			if rate := p.Steps[i].Rate; err == nil && rate != nil {
				line.Points = append(line.Points, page.Point{At: at.UnixMilli(), Y: *rate, Tip: fmt.Sprintf("%s: %s of the step before take %s", p.Name, percent(rate), s.Step)})
			}
		}
		c.Series = append(c.Series, line)
	}
	return c.HTML()
}
