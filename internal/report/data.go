// Package report says what an experiment has brought about: whether the arms
// have the sizes they should have, how they compare, with which certainty, and
// in words. It reads what nudged decided, or anybody's table with a row for each
// user, and writes text, JSON, CSV or one self-contained HTML page.
package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nudged/nudged/experiment/stats"
	"github.com/nudged/nudged/internal/outcomes"
	"github.com/nudged/nudged/rules"
)

// Options are what the data cannot tell.
type Options struct {
	// Control names the arm that the others are compared with; empty: "control".
	Control string
	// Weights are the intended sizes of the arms, of any sum; nil: equal.
	Weights map[string]float64
	// Window is the goal's, ms; 0: not known, everybody counts as mature.
	Window int64
	// At is the moment of the report, Unix ms; what came later is left out.
	At int64
	// Effect is the relative lift that "how many more users" is told for.
	Effect float64
	// SendCost of each message, CouponCost of each user who converted in an arm
	// that was sent to; in the unit of the values.
	SendCost, CouponCost float64
	// Experiment tells the limits of guardrails; nil: they are not known.
	Experiment *rules.Experiment
}

func (o *Options) control() string {
	if o.Control == "" {
		return rules.Control
	}
	return o.Control
}

func (o *Options) costs() bool { return o.SendCost != 0 || o.CouponCost != 0 }

// Data is an experiment in counts and sums.
type Data struct {
	Experiment string
	Phase      int // 0: phases are not known
	Arms       []ArmData
	Holdout    *ArmData // users in no nudge at all; nil: none seen

	Converted, Value, Covariate bool // what is known of the users
	Weighted                    bool // the intended sizes are known
	Waiting                     int  // exposed users whose window has not passed
	From, Until                 int64
	Moments                     []Moment // by time of exposure, cumulative; nil: times are not known
	Options                     Options
	Notes                       []string
	Guardrails                  []Guardrail
}

// ArmData sums up one arm. All but All and Weight are of mature users only.
type ArmData struct {
	Name       string
	Weight     float64
	All        int // exposed users, mature or not
	Conversion stats.Proportion
	Value      stats.Sample // with the covariate, if there is one
	Net        stats.Sample // value less costs
	Sends      int
}

// Moment is what was known of those exposed before At.
type Moment struct {
	At         int64
	All        []int // by arm
	Conversion []stats.Proportion
	Value      []stats.Sample
}

// net is what is left of a user's value.
func (o *Options) net(control, converted bool, value float64, sends int) float64 {
	value -= o.SendCost * float64(sends)
	if converted && !control {
		value -= o.CouponCost
	}
	return value
}

// FromCohort sums up what was decided for the users of one experiment.
func FromCohort(c *outcomes.Cohort, o Options) (*Data, error) {
	d := &Data{Experiment: c.Experiment, Phase: c.Phase, Converted: true, Value: true, Options: o}
	list, tally := c.Outcomes(o.Window, o.At)
	// Sums of floats depend on their order; that of the partitions of a topic is
	// another one each time.
	slices.SortFunc(list, func(a, b outcomes.Outcome) int {
		return cmp.Or(cmp.Compare(a.Exposed, b.Exposed), cmp.Compare(a.Value, b.Value), cmp.Compare(a.Conversions, b.Conversions), cmp.Compare(a.Sends, b.Sends))
	})
	var seen []string
	for _, name := range c.Arms {
		if name != outcomes.Holdout {
			seen = append(seen, name)
		}
	}
	if err := d.arrange(seen); err != nil {
		return nil, err
	}
	place := make([]int, len(c.Arms)) // arm of the cohort -> arm here; -1: holdout
	for i, name := range c.Arms {
		place[i] = slices.IndexFunc(d.Arms, func(a ArmData) bool { return a.Name == name })
	}
	for _, u := range list {
		if place[u.Arm] >= 0 {
			d.extend(u.Exposed)
		}
	}
	bins := newBins(d)
	for _, u := range list {
		arm := place[u.Arm]
		if arm < 0 {
			if d.Holdout == nil {
				d.Holdout = &ArmData{Name: outcomes.Holdout}
			}
			d.Holdout.All++
			if u.Mature {
				d.Holdout.take(u.Conversions > 0, u.Value, 0)
			}
			continue
		}
		a := &d.Arms[arm]
		a.All++
		bins.all(u.Exposed, arm)
		if !u.Mature {
			d.Waiting++
			continue
		}
		a.take(u.Conversions > 0, u.Value, o.net(arm == 0, u.Conversions > 0, u.Value, u.Sends))
		a.Sends += u.Sends
		bins.mature(u.Exposed, arm, u.Conversions > 0, u.Value)
	}
	d.Moments = bins.cumulate()
	d.noteTally(c, tally)
	return d, d.guardrails(c)
}

func (a *ArmData) take(converted bool, value, net float64) {
	a.Conversion.N++
	if converted {
		a.Conversion.Converted++
	}
	a.Value.Add(value)
	a.Net.Add(net)
}

func (d *Data) extend(at int64) {
	if d.From == 0 || at < d.From {
		d.From = at
	}
	d.Until = max(d.Until, at)
}

func (d *Data) note(format string, args ...any) {
	d.Notes = append(d.Notes, fmt.Sprintf(format, args...))
}

func (d *Data) noteTally(c *outcomes.Cohort, t outcomes.Tally) {
	if d.Options.Window == 0 {
		d.note("The goal's window is not known, so every conversion after the exposure counts and nobody is waited for. Give it with --within, or the rules with --rules.")
	}
	if d.Waiting > 0 {
		d.note("%s exposed users are left out of the figures for now: their window has not passed.", count(d.Waiting))
	}
	if t.Unexposed > 0 {
		d.note("%s users converted whose exposure is not in the data; they are left out. Does the data begin too late?", count(t.Unexposed))
	}
	if t.Outside > 0 {
		d.note("%s conversions lie outside of the window after the first exposure and are left out.", count(t.Outside))
	}
	if t.Mixed > 0 {
		d.note("%s users were seen in more than one arm; the first one counts. Weights or salt may have been changed without a new phase.", count(t.Mixed))
	}
	if c.Repeated > 0 {
		d.note("%s decisions were read more than once and counted once.", count(c.Repeated))
	}
}

// arrange brings the arms into order, the control first: those with a weight,
// and those seen.
func (d *Data) arrange(seen []string) error {
	o := &d.Options
	control := o.control()
	names := slices.Clone(seen)
	for _, name := range slices.Sorted(maps.Keys(o.Weights)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if !slices.Contains(names, control) {
		if len(names) > 1 || o.Control != "" && len(names) > 0 {
			slices.Sort(names)
			return fmt.Errorf("experiment %q has no arm %q: name the one to compare with by --control; there are %s", d.Experiment, control, strings.Join(names, ", "))
		}
		names = append(names, control)
	}
	slices.SortFunc(names, func(a, b string) int {
		if (a == control) != (b == control) {
			if a == control {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	d.Weighted = o.Weights != nil
	for _, name := range names {
		weight := 1.0
		if d.Weighted {
			var ok bool
			if weight, ok = o.Weights[name]; !ok {
				return fmt.Errorf("experiment %q: arm %q was seen and has no weight; the weights are of %s: is this the right phase?",
					d.Experiment, name, strings.Join(slices.Sorted(maps.Keys(o.Weights)), ", "))
			}
		}
		d.Arms = append(d.Arms, ArmData{Name: name, Weight: weight})
	}
	if !d.Weighted && len(d.Arms) > 1 {
		d.note("The intended sizes of the arms are not known; equal ones are assumed. Give them with --weights, or the rules with --rules.")
	}
	return nil
}
