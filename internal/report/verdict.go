package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/nudged/nudged/experiment/stats"
)

// power is the chance to see an effect that "how many more users" is told for.
const power = 0.8

// judge fills in p_holm and the verdicts. A verdict rests on the always-valid
// p-value of the conversion (of the value where conversions are not known),
// adjusted for the number of arms by Holm: with one arm that is the always-valid
// interval lying wholly on one side of zero.
func (r *Report) judge() {
	var fixed, always []float64
	var of []int
	for i := range r.Comparisons {
		if p, av := r.Comparisons[i].mainP(); p != nil {
			fixed, always, of = append(fixed, *p), append(always, *av), append(of, i)
		}
	}
	adjusted, alwaysAdjusted := stats.Holm(fixed), stats.Holm(always)
	verdicts := make([]Verdict, len(r.Comparisons))
	for i := range verdicts {
		verdicts[i] = NoDifference
	}
	for k, i := range of {
		c := &r.Comparisons[i]
		c.PHolm = &adjusted[k]
		if alwaysAdjusted[k] < stats.Alpha {
			verdicts[i] = Better
			if c.mainDiff() < 0 {
				verdicts[i] = Worse
			}
		}
	}
	for i := range r.Comparisons {
		c := &r.Comparisons[i]
		c.Verdict = verdicts[i]
		if !r.SRM.OK {
			c.Verdict = WrongRatio
		}
		c.MoreUsers = r.moreUsers(i)
		c.Statement = r.statement(i)
	}
}

func (c *Comparison) mainP() (fixed, always *float64) {
	if c.Conversion != nil {
		return c.Conversion.P, c.Conversion.AlwaysValidP
	}
	return c.Value.P, c.Value.AlwaysValidP
}

func (c *Comparison) mainDiff() float64 {
	if c.Conversion != nil {
		return *c.Conversion.Diff
	}
	return *c.Value.Diff
}

// moreUsers is how many more users, in the two arms together, a lift of
// Options.Effect would take to be seen.
func (r *Report) moreUsers(i int) *int {
	control, arm := &r.data.Arms[0], &r.data.Arms[i+1]
	n, m := control.Conversion.N, arm.Conversion.N
	effect := r.data.Options.Effect
	if !(effect > 0) || n == 0 || m == 0 {
		return nil
	}
	var mean, perUser float64
	total := float64(n + m)
	share := float64(n) / total
	if r.data.Converted {
		p := control.Conversion.Rate()
		q := min(1, p*(1+effect))
		mean, perUser = p, p*(1-p)/share+q*(1-q)/(1-share)
	} else {
		mean, perUser = control.Value.Mean, control.Value.Variance()/share+arm.Value.Variance()/(1-share)
	}
	if mean == 0 || perUser <= 0 {
		return nil
	}
	need := stats.AlwaysValidUsers(math.Abs(mean)*effect, perUser, power)
	if stats.Finite(need) != nil || need > 1e12 {
		return nil
	}
	return some(max(0, int(math.Ceil(need-total))))
}

func (r *Report) ratioStatement() string {
	d := r.data
	var sum float64
	total := 0
	for _, a := range d.Arms {
		sum += a.Weight
		total += a.All
	}
	var parts []string
	for _, a := range d.Arms {
		parts = append(parts, fmt.Sprintf("%s %s (intended %s)", a.Name, percent(float64(a.All)/float64(total)), percent(a.Weight/sum)))
	}
	shares := strings.Join(parts, ", ")
	if r.SRM.OK {
		return fmt.Sprintf("The arms have the sizes they should have: %s; p = %s.", shares, pvalue(*r.SRM.P))
	}
	return fmt.Sprintf("The arms do not have the sizes they should have: %s; chance alone does that in %s of experiments. "+
		"Something treats the arms differently before users are counted, so the figures below cannot be trusted. Find the cause first.",
		shares, oneIn(*r.SRM.P))
}

// statement says a comparison in words.
func (r *Report) statement(i int) string {
	c := &r.Comparisons[i]
	if c.Verdict == WrongRatio {
		return "No verdict: the arms do not have the sizes they should have, so the comparison cannot be trusted."
	}
	var s []string
	switch {
	case c.Conversion != nil:
		s = append(s, r.conversionWords(i))
		if c.Value != nil {
			s = append(s, valueWords(c.Value))
		}
	case c.Value.Why != "" && c.Value.P == nil:
		s = append(s, "No difference seen yet: "+c.Value.Why+".")
	default:
		s = append(s, r.mainValueWords(c))
	}
	if n := c.Net; n != nil && n.AlwaysValidCI != nil {
		s = append(s, netWords(n, r.data.Arms[i+1].Conversion.N))
	}
	return strings.Join(s, " ")
}

func (r *Report) conversionWords(i int) string {
	c := &r.Comparisons[i]
	v := c.Conversion
	if v.P == nil {
		return "No difference seen yet: " + v.Why + "."
	}
	control, arm := r.data.Arms[0].Conversion.Rate(), r.data.Arms[i+1].Conversion.Rate()
	rates := fmt.Sprintf("%s of %s convert, %s of %s", percent(arm), c.Arm, percent(control), c.Control)
	if v.Lift != nil {
		rates += fmt.Sprintf(" (a lift of %s)", signedPercent(*v.Lift))
	}
	av := v.AlwaysValidCI
	switch c.Verdict {
	case Better:
		return fmt.Sprintf("Better by %s to %s percentage points: %s.", points(av[0]), points(av[1]), rates)
	case Worse:
		return fmt.Sprintf("Worse by %s to %s percentage points: %s.", points(-av[1]), points(-av[0]), rates)
	}
	return fmt.Sprintf("No difference seen yet: %s; the true difference may lie anywhere between %s and %s percentage points.%s",
		rates, signedPoints(av[0]), signedPoints(av[1]), r.moreWords(c))
}

func (r *Report) mainValueWords(c *Comparison) string {
	v := c.Value
	av := v.AlwaysValidCI
	means := "per user"
	if v.Lift != nil {
		means = fmt.Sprintf("per user (a lift of %s)", signedPercent(*v.Lift))
	}
	switch c.Verdict {
	case Better:
		return fmt.Sprintf("Better by %s to %s %s.", amount(av[0]), amount(av[1]), means)
	case Worse:
		return fmt.Sprintf("Worse by %s to %s %s.", amount(-av[1]), amount(-av[0]), means)
	}
	return fmt.Sprintf("No difference seen yet: the difference is %s %s and may lie anywhere between %s and %s.%s",
		signedAmount(*v.Diff), means, signedAmount(av[0]), signedAmount(av[1]), r.moreWords(c))
}

func (r *Report) moreWords(c *Comparison) string {
	switch {
	case c.MoreUsers == nil:
		return ""
	case *c.MoreUsers == 0:
		return fmt.Sprintf(" A lift of %s would most likely have been seen by now.", percent(r.data.Options.Effect))
	}
	return fmt.Sprintf(" To see a lift of %s takes about %s more users in the two arms together.", percent(r.data.Options.Effect), count(*c.MoreUsers))
}

func valueWords(v *Value) string {
	if v.P == nil {
		if v.Diff != nil && *v.Diff == 0 {
			return ""
		}
		return "Value per user cannot be compared yet: " + v.Why + "."
	}
	av := v.AlwaysValidCI
	between := fmt.Sprintf("%s per user, between %s and %s", signedAmount(*v.Diff), signedAmount(av[0]), signedAmount(av[1]))
	switch {
	case av[0] > 0:
		return "Value is higher: " + between + "."
	case av[1] < 0:
		return "Value is lower: " + between + "."
	}
	return "For value no difference is seen yet: " + between + "."
}

func netWords(n *Net, users int) string {
	av := n.AlwaysValidCI
	sum := fmt.Sprintf("%s per exposed user, %s over the %s users of this arm", signedAmount(*n.Diff), signedAmount(*n.Gain), count(users))
	switch {
	case av[0] > 0:
		return "After costs it brings in more: " + sum + "."
	case av[1] < 0:
		return "After costs it brings in less: " + sum + "."
	}
	return "After costs: " + sum + "; this may still be chance."
}

// noteThinData says where the normal approximation is strained.
func (r *Report) noteThinData() {
	exposed := 0
	for _, a := range r.data.Arms {
		exposed += a.All
	}
	if exposed == 0 {
		r.Notes = append(r.Notes, "Nobody has been exposed yet: there is nothing to report.")
		return
	}
	if len(r.data.Arms) < 2 {
		r.Notes = append(r.Notes, fmt.Sprintf("Only the arm %q is there: there is nothing to compare it with.", r.data.Arms[0].Name))
	}
	if !r.data.Converted {
		return
	}
	for _, a := range r.data.Arms {
		n, k := a.Conversion.N, a.Conversion.Converted
		if n > 0 && min(k, n-k) < 5 {
			r.Notes = append(r.Notes, fmt.Sprintf("Arm %q has %s exposed users and %s conversions: with fewer than five of either kind the figures are rough.", a.Name, count(n), count(k)))
		}
	}
}
