package funnel

import (
	"fmt"
	"slices"
)

// Lapse says after how many quiet days a user counts as gone.
type Lapse struct {
	Days         *int     `json:"days"`          // nil: see Why
	NeverReturn  *float64 `json:"never_return"`  // the share that does not come back after so many quiet days
	HorizonDays  int      `json:"horizon_days"`  // how far ahead the data can see
	Observations int      `json:"observations"`  // quiet stretches, ended or not
	Why          string   `json:"why,omitempty"` // there is no answer
	Curve        []Quiet  `json:"curve,omitempty"`
}

// Quiet is one point of the curve behind Lapse.
type Quiet struct {
	Days        int     `json:"days"`
	NeverReturn float64 `json:"never_return"`
}

const (
	lapsed       = 0.9 // of the quiet never return
	fewestAtRisk = 30  // quiet stretches that have to be under watch
	shortestData = 14  // days
)

// lapse estimates it by Kaplan and Meier. A quiet stretch is the number of days
// from one day with an event to the user's next; the last one, up to the end of
// the data, is not over. Of those quiet for q days S(H)/S(q) never return, where
// S(q) is the share of stretches longer than q, and H the longest that at least
// 30 are still watched for.
func (f *Funnel) lapse(first, last int64) Lapse {
	span := int(dayOf(last) - dayOf(first))
	if len(f.events) == 0 {
		return Lapse{Why: "there are no events"}
	}
	if span < shortestData {
		return Lapse{Why: fmt.Sprintf("the data touches %d calendar days (UTC), and at least %d are needed to tell who is gone from who is away", span+1, shortestData+1)}
	}
	ended, open := make([]int, span+2), make([]int, span+2)
	total := 0
	f.byUser(func(events []event) {
		day := dayOf(events[0].at)
		for _, e := range events[1:] {
			if d := dayOf(e.at); d > day {
				ended[d-day]++
				total++
				day = d
			}
		}
		open[dayOf(last)-day]++
		total++
	})
	l := Lapse{Observations: total}
	// atRisk of length q are all stretches of at least q days.
	atRisk := total - open[0]
	survival := []float64{1}
	for q := 1; q <= span && atRisk >= fewestAtRisk; q++ {
		survival = append(survival, survival[q-1]*(1-float64(ended[q])/float64(atRisk)))
		l.HorizonDays = q
		atRisk -= ended[q] + open[q]
	}
	if l.HorizonDays < 2 {
		l.Why = fmt.Sprintf("fewer than %d users are watched for two days", fewestAtRisk)
		return l
	}
	end := survival[l.HorizonDays]
	for q := range l.HorizonDays {
		never := 0.0
		if survival[q] > 0 {
			never = end / survival[q]
		}
		l.Curve = append(l.Curve, Quiet{q, never})
	}
	i := slices.IndexFunc(l.Curve, func(c Quiet) bool { return c.Days > 0 && c.NeverReturn >= lapsed })
	if i < 0 {
		l.Why = fmt.Sprintf("users come back even after %d quiet days, which is as far as the data sees", l.HorizonDays)
		return l
	}
	l.Days, l.NeverReturn = &l.Curve[i].Days, &l.Curve[i].NeverReturn
	return l
}
