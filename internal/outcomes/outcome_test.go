package outcomes

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nudged/nudged/internal/decisions"
)

const day = int64(86_400_000)

func decision(kind, user, arm string, at int64, value float64, id string) *decisions.Decision {
	return &decisions.Decision{
		Kind: []byte(kind), User: []byte(user), Arm: []byte(arm), Experiment: []byte("e"), Phase: 1, Fired: at, Value: value, CommandID: []byte(id),
	}
}

func outcomesOf(t *testing.T, within, at int64, list ...*decisions.Decision) (map[string]Outcome, Tally) {
	t.Helper()
	b := Book{KeepUsers: true}
	for _, d := range list {
		b.Add(d)
	}
	if len(b.Cohorts()) != 1 {
		t.Fatalf("%d cohorts", len(b.Cohorts()))
	}
	c := b.Cohorts()[0]
	all, tally := c.Outcomes(within, at)
	byUser := map[string]Outcome{}
	for _, o := range all {
		byUser[c.Users[o.Unit]] = o
	}
	return byUser, tally
}

// The window is (exposure, exposure + within], to the millisecond.
func TestWindow(t *testing.T) {
	got, tally := outcomesOf(t, 14*day, 100*day,
		decision("sent", "u", "treatment", day, 0, "s1"),
		decision("converted", "u", "treatment", day, 1, "c1"),        // at the exposure
		decision("converted", "u", "treatment", day+1, 2, "c2"),      // inside
		decision("converted", "u", "treatment", 15*day, 4, "c3"),     // its last moment
		decision("converted", "u", "treatment", 15*day+1, 8, "c4"),   // after
		decision("sent", "u", "treatment", 3*day, 0, "s2"),           // a second message costs as well
		decision("sent", "u", "treatment", 20*day, 0, "s3"),          // beyond the window
		decision("converted", "nobody", "treatment", 2*day, 1, "c5"), // never exposed
		decision("cooldown", "other", "treatment", 2*day, 1, "x"),    // no exposure
	)
	if u := got["u"]; u.Conversions != 2 || u.Value != 6 || u.First != day+1 || u.Sends != 2 || !u.Mature {
		t.Errorf("%+v", u)
	}
	if len(got) != 1 || tally.Outside != 2 || tally.Unexposed != 1 {
		t.Errorf("%v, %+v", got, tally)
	}
}

func TestFirstExposureCounts(t *testing.T) {
	got, tally := outcomesOf(t, 14*day, 100*day,
		decision("sent", "u", "treatment", 5*day, 0, "s2"),
		decision("control", "u", "control", 2*day, 0, "s1"),
		decision("holdout", "h", "", 2*day, 0, "h1"),
	)
	if u := got["u"]; u.Exposed != 2*day || u.Arm != 1 || tally.Mixed != 1 {
		t.Errorf("%+v, %+v: want the control's exposure of day 2", u, tally)
	}
	if h := got["h"]; h.Arm != 2 {
		t.Errorf("%+v: want the holdout", h)
	}
}

func TestMaturityAndMoment(t *testing.T) {
	list := []*decisions.Decision{
		decision("sent", "u", "a", day, 0, "s1"),
		decision("converted", "u", "a", 3*day, 7, "c1"),
		decision("sent", "late", "a", 9*day, 0, "s2"),
	}
	for at, want := range map[int64][2]bool{15*day - 1: {false, true}, 15 * day: {true, true}, 8 * day: {false, false}} {
		got, _ := outcomesOf(t, 14*day, at, list...)
		if _, there := got["late"]; got["u"].Mature != want[0] || there != want[1] {
			t.Errorf("at day %v: %+v", float64(at)/float64(day), got)
		}
	}
	if got, _ := outcomesOf(t, 14*day, 2*day, list...); got["u"].Value != 0 {
		t.Errorf("a conversion that is still to come counts: %+v", got)
	}
	if got, _ := outcomesOf(t, 0, 9*day, list...); !got["late"].Mature || got["u"].Value != 7 {
		t.Errorf("without a window: %+v", got)
	}
}

// Neither the order of reading nor reading twice makes a difference.
func TestOrderAndRepetition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []*decisions.Decision
		for i := range rapid.IntRange(1, 40).Draw(t, "n") {
			kind := rapid.SampledFrom([]string{"sent", "control", "holdout", "converted", "cap"}).Draw(t, "kind")
			arm := map[string]string{"control": "control", "holdout": "holdout"}[kind]
			if arm == "" {
				arm = "treatment"
			}
			user := fmt.Sprint("u", rapid.IntRange(0, 5).Draw(t, "user"))
			// Whole values, so that the order of adding changes nothing; times that
			// differ, so that there is a first one.
			list = append(list, decision(kind, user, arm, int64(i+1)*day, float64(rapid.IntRange(0, 9).Draw(t, "value")), fmt.Sprint(i)))
		}
		view := func(list []*decisions.Decision) []string {
			b := Book{KeepUsers: true}
			for _, d := range list {
				b.Add(d)
			}
			var out []string
			for _, c := range b.Cohorts() {
				all, tally := c.Outcomes(10*day, 35*day)
				for _, o := range all {
					out = append(out, fmt.Sprint(c.Users[o.Unit], c.Arms[o.Arm], o.Exposed, o.Conversions, o.First, o.Value, o.Sends, o.Mature))
				}
				out = append(out, fmt.Sprint(tally))
			}
			slices.SortFunc(out, cmp.Compare[string])
			return out
		}
		mixed := rapid.Permutation(append(slices.Clone(list), list...)).Draw(t, "mixed")
		if diff := gocmp.Diff(view(list), view(mixed)); diff != "" {
			t.Fatalf("-in order +mixed and twice:\n%s", diff)
		}
	})
}
