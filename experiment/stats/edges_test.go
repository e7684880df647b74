package stats

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What cannot be computed is said, and never a NaN.
func TestEdgesOfConversion(t *testing.T) {
	for name, c := range map[string]struct {
		control, arm Proportion
		want         error
		diff         float64
	}{
		"no exposures":        {Proportion{}, Proportion{}, NoUsersInControl, 0},
		"control empty":       {Proportion{}, Proportion{10, 1}, NoUsersInControl, 0},
		"arm empty":           {Proportion{10, 1}, Proportion{}, NoUsersInArm, 0},
		"no conversions":      {Proportion{10, 0}, Proportion{20, 0}, NobodyConverted, 0},
		"all converted":       {Proportion{10, 10}, Proportion{20, 20}, AllConverted, 0},
		"one user":            {Proportion{1, 0}, Proportion{0, 0}, NoUsersInArm, 0},
		"one user in each":    {Proportion{1, 0}, Proportion{1, 0}, NobodyConverted, 0},
		"none against all":    {Proportion{1, 0}, Proportion{1, 1}, Undefined("nobody has converted in one arm and everybody in the other: there are too few users to say how sure that is"), 1},
		"control has nothing": {Proportion{10, 0}, Proportion{10, 2}, nil, 0.2},
	} {
		e, err := Conversion(c.control, c.arm)
		if !errors.Is(err, c.want) || e.Diff != c.diff {
			t.Errorf("%s: %+v, %v; want %v and a difference of %v", name, e, err, c.want, c.diff)
		}
	}
	if _, err := ConversionLift(Proportion{10, 0}, Proportion{10, 2}); !errors.Is(err, ControlIsZero) {
		t.Errorf("a lift over a control without conversions: %v", err)
	}
}

func TestEdgesOfValue(t *testing.T) {
	one, two, flat, varied := sampleOf([]float64{5}, nil), sampleOf([]float64{5, 5}, nil), sampleOf([]float64{7, 7, 7}, nil), sampleOf([]float64{1, 2}, nil)
	huge := sampleOf([]float64{math.MaxFloat64, -math.MaxFloat64}, nil)
	for name, c := range map[string]struct {
		control, arm Sample
		want         error
		diff         float64
	}{
		"no exposures":         {Sample{}, Sample{}, NoUsersInControl, 0},
		"arm empty":            {varied, Sample{}, NoUsersInArm, 0},
		"one user":             {varied, one, TooFewForValue, 3.5},
		"zero variance":        {two, flat, NoVariance, 2},
		"zero variance in one": {two, varied, nil, -3.5},
		"overflow":             {huge, varied, NotFinite, 0},
	} {
		e, err := Value(c.control, c.arm)
		if !errors.Is(err, c.want) || (e.Diff != c.diff && name != "overflow") {
			t.Errorf("%s: %+v, %v; want %v and a difference of %v", name, e, err, c.want, c.diff)
		}
	}
	if _, err := ValueLift(sampleOf([]float64{0, 0}, nil), varied); !errors.Is(err, ControlIsZero) {
		t.Errorf("lift over zero: %v", err)
	}
	if _, err := ValueLift(two, flat); !errors.Is(err, NoVariance) {
		t.Errorf("lift without variance: %v", err)
	}
	if _, err := CUPED(varied, varied); !errors.Is(err, NoCovariance) {
		t.Errorf("a covariate that is always 0: %v", err)
	}
	if a, err := CUPED(varied, one); !errors.Is(err, TooFewForValue) || a.Diff != 3.5 {
		t.Errorf("CUPED with one user: %+v, %v", a, err)
	}
	// A covariate that tells everything leaves nothing to measure against.
	exact := sampleOf([]float64{2, 4, 6}, []float64{1, 2, 3})
	if _, err := CUPED(exact, exact); !errors.Is(err, NoVariance) {
		t.Errorf("a covariate that tells all: %v", err)
	}
}

func TestEdgesOfRatioAndPlan(t *testing.T) {
	for _, c := range []struct {
		seen    []int
		weights []float64
		want    string
	}{
		{nil, nil, "only one arm"},
		{[]int{5}, []float64{1}, "only one arm"},
		{[]int{0, 0}, []float64{1, 1}, "nobody has been exposed"},
		{[]int{1, 1}, []float64{1, 0}, "above 0"},
		{[]int{1, 1}, []float64{1}, "1 weights"},
	} {
		if _, err := CheckSampleRatio(c.seen, c.weights); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v by %v: %v, want %q", c.seen, c.weights, err, c.want)
		}
	}
	good := Plan{Baseline: 0.02, Lift: 0.2, Power: 0.8, Alpha: 0.05, Split: []float64{50, 50}}
	for want, change := range map[string]func(*Plan){
		"baseline": func(p *Plan) { p.Baseline = 0 },
		"lift":     func(p *Plan) { p.Lift = 0 },
		"lift 60":  func(p *Plan) { p.Lift = 60 },
		"power":    func(p *Plan) { p.Power = 1 },
		"alpha":    func(p *Plan) { p.Alpha = math.NaN() },
		"split":    func(p *Plan) { p.Split = []float64{1} },
		"above 0":  func(p *Plan) { p.Split = []float64{1, 0} },
		"people":   func(p *Plan) { p.Lift = 1e-9 },
	} {
		p := good
		change(&p)
		if _, err := p.Users(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", p, err, want)
		}
	}
	// Two arms against one control take more than one does: each is compared apart.
	one, err1 := good.Users()
	good.Split = []float64{50, 50, 50}
	two, err2 := good.Users()
	if err1 != nil || err2 != nil || two.Arms[0] <= one.Arms[0] || two.Arms[1] != two.Arms[2] {
		t.Errorf("%+v (%v), then %+v (%v)", one, err1, two, err2)
	}
	if len(Holm(nil)) != 0 {
		t.Error("Holm of nothing is something")
	}
}

// No input makes a NaN, swapping the arms turns signs, and the always-valid p
// says the same as its interval.
func TestComparisonsHoldTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) Proportion {
			n := rapid.IntRange(0, 1_000_000).Draw(t, name)
			return Proportion{n, rapid.IntRange(0, n).Draw(t, name+" converted")}
		}
		c, a := draw("control"), draw("arm")
		e, err := Conversion(c, a)
		back, errBack := Conversion(a, c)
		if (err == nil) != (errBack == nil) || math.Abs(e.Diff+back.Diff) > 1e-15 {
			t.Fatalf("%+v (%v), swapped %+v (%v)", e, err, back, errBack)
		}
		l, errLift := ConversionLift(c, a)
		if Finite(e.Diff, e.P, e.CI.Low, e.CI.High, e.AlwaysValid.Low, e.AlwaysValidP, l.Lift, l.CI.Low) != nil {
			t.Fatalf("%+v, %+v", e, l)
		}
		if err != nil {
			return
		}
		if e.P < 0 || e.P > 1 || math.Abs(e.P-back.P) > 1e-12 || e.AlwaysValid.Excludes(0) != (e.AlwaysValidP < Alpha) && math.Abs(e.AlwaysValidP-Alpha) > 1e-9 {
			t.Fatalf("%+v", e)
		}
		if e.AlwaysValid.Low > e.CI.Low || e.AlwaysValid.High < e.CI.High {
			t.Fatalf("the always-valid interval is inside of the other: %+v", e)
		}
		if errLift == nil && (l.Lift > 0) != (e.Diff > 0) {
			t.Fatalf("%+v, %+v", e, l)
		}
	})
}

// A merged sample is that of all users, in whatever order they came.
func TestMergeIsAdd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 0, 50)
		ys := numbers.Draw(t, "ys")
		cut := rapid.IntRange(0, len(ys)).Draw(t, "cut")
		xs := make([]float64, len(ys))
		for i := range xs {
			xs[i] = rapid.Float64Range(-100, 100).Draw(t, "x")
		}
		zeros := rapid.IntRange(0, 5).Draw(t, "zeros")
		got := sampleOf(ys[cut:], xs[cut:])
		got.AddZeros(zeros)
		got.Merge(sampleOf(ys[:cut], xs[:cut]))
		want := sampleOf(append(ys, make([]float64, zeros)...), append(xs, make([]float64, zeros)...))
		near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*(math.Abs(a)+math.Abs(b))+1e-3 }
		if got.N != want.N || !near(got.Sum(), want.Sum()) || !near(got.Mean, want.Mean) || !near(got.yy, want.yy) || !near(got.xx, want.xx) || !near(got.both, want.both) {
			t.Fatalf("%+v, want %+v", got, want)
		}
	})
}
