package stats

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"testing"
)

// figures are those of testdata/figures.py: scipy, statsmodels, numpy.
type figures struct {
	Conversion []struct {
		Control, Arm    [2]int
		Wilson          [2]float64
		Diff, Z, P      float64
		CI              [2]float64  `json:"ci"`
		AlwaysValid     [2]float64  `json:"always_valid_ci"`
		AlwaysValidP    float64     `json:"always_valid_p"`
		Lift            *float64    // nil: the control's rate is 0
		LiftCI          *[2]float64 `json:"lift_ci"`
		LiftAlwaysValid *[2]float64 `json:"lift_always_valid_ci"`
	}
	Value []struct {
		Control, Arm         []float64
		Diff, T, DF, P, Lift float64
		SD                   [2]float64 `json:"sd"`
		CI                   [2]float64 `json:"ci"`
		LiftCI               [2]float64 `json:"lift_ci"`
		AlwaysValid          [2]float64 `json:"always_valid_ci"`
		Covariate            *struct {
			Control, Arm          []float64
			Theta, Diff, T, DF, P float64
			CI                    [2]float64 `json:"ci"`
			VarianceReduction     float64    `json:"variance_reduction"`
		}
	}
	Ratio []struct {
		Seen    []int
		Weights []float64
		Chi2, P float64
	}
	RatioEvidence []struct {
		Seen    []int
		Weights []float64
		E       float64
	} `json:"ratio_evidence"`
	ExcessEvidence []struct {
		Hits, N int
		Most, E float64
	} `json:"excess_evidence"`
	Holm []struct{ P, Adjusted []float64 }
	Plan []struct {
		Baseline, Lift, Power, Alpha float64
		Split                        []float64
		Control, Arm                 float64
		AlwaysValid                  float64 `json:"always_valid"`
	}
}

func readFigures(t *testing.T) figures {
	t.Helper()
	raw, err := os.ReadFile("testdata/figures.json")
	if err != nil {
		t.Fatal(err)
	}
	var f figures
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Conversion) < 5 || len(f.Value) < 5 || len(f.Ratio) < 5 || len(f.Holm) < 5 || len(f.Plan) < 5 || len(f.RatioEvidence) < 5 || len(f.ExcessEvidence) < 5 {
		t.Fatal("testdata/figures.json lacks cases")
	}
	return f
}

// same asks for six significant digits, and absolutely for what is nearly zero.
func same(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > 5e-7*math.Abs(want)+1e-12 {
		t.Errorf("%s = %.12g, want %.12g", what, got, want)
	}
}

func sameInterval(t *testing.T, what string, got Interval, want [2]float64) {
	t.Helper()
	same(t, what+" low", got.Low, want[0])
	same(t, what+" high", got.High, want[1])
}

func TestConversionAgrees(t *testing.T) {
	for _, c := range readFigures(t).Conversion {
		control, arm := Proportion{c.Control[0], c.Control[1]}, Proportion{c.Arm[0], c.Arm[1]}
		e, err := Conversion(control, arm)
		if err != nil {
			t.Errorf("%v, %v: %v", control, arm, err)
			continue
		}
		sameInterval(t, "the rate's interval", arm.Interval(), c.Wilson)
		same(t, "diff", e.Diff, c.Diff)
		same(t, "z", e.Statistic, c.Z)
		same(t, "p", e.P, c.P)
		sameInterval(t, "ci", e.CI, c.CI)
		sameInterval(t, "always-valid interval", e.AlwaysValid, c.AlwaysValid)
		same(t, "always-valid p", e.AlwaysValidP, c.AlwaysValidP)
		l, err := ConversionLift(control, arm)
		if c.Lift == nil {
			if !errors.Is(err, ControlIsZero) {
				t.Errorf("%v, %v: a lift of %v (%v) on nothing", control, arm, l, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v, %v: %v", control, arm, err)
			continue
		}
		same(t, "lift", l.Lift, *c.Lift)
		sameInterval(t, "lift's interval", l.CI, *c.LiftCI)
		sameInterval(t, "lift's always-valid interval", l.AlwaysValid, *c.LiftAlwaysValid)
	}
}

func sampleOf(ys, xs []float64) Sample {
	var s Sample
	for i, y := range ys {
		if xs == nil {
			s.Add(y)
		} else {
			s.AddWith(y, xs[i])
		}
	}
	return s
}

func TestValueAgrees(t *testing.T) {
	for _, c := range readFigures(t).Value {
		control, arm := sampleOf(c.Control, nil), sampleOf(c.Arm, nil)
		e, err := Value(control, arm)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "sd of the control", control.SD(), c.SD[0])
		same(t, "sd of the arm", arm.SD(), c.SD[1])
		same(t, "diff", e.Diff, c.Diff)
		same(t, "t", e.Statistic, c.T)
		same(t, "df", e.DF, c.DF)
		same(t, "p", e.P, c.P)
		sameInterval(t, "ci", e.CI, c.CI)
		sameInterval(t, "always-valid interval", e.AlwaysValid, c.AlwaysValid)
		l, err := ValueLift(control, arm)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "lift", l.Lift, c.Lift)
		sameInterval(t, "lift's interval", l.CI, c.LiftCI)
		if c.Covariate == nil {
			continue
		}
		a, err := CUPED(sampleOf(c.Control, c.Covariate.Control), sampleOf(c.Arm, c.Covariate.Arm))
		if err != nil {
			t.Fatal(err)
		}
		same(t, "theta", a.Theta, c.Covariate.Theta)
		same(t, "adjusted diff", a.Diff, c.Covariate.Diff)
		same(t, "adjusted t", a.Statistic, c.Covariate.T)
		same(t, "adjusted df", a.DF, c.Covariate.DF)
		same(t, "adjusted p", a.P, c.Covariate.P)
		sameInterval(t, "adjusted ci", a.CI, c.Covariate.CI)
		same(t, "variance reduction", a.VarianceReduction, c.Covariate.VarianceReduction)
	}
}

func TestSampleRatioAgrees(t *testing.T) {
	for _, c := range readFigures(t).Ratio {
		r, err := CheckSampleRatio(c.Seen, c.Weights)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "chi2", r.Chi2, c.Chi2)
		same(t, "p", r.P, c.P)
		if r.DF != len(c.Seen)-1 || r.OK != (c.P >= 0.001) {
			t.Errorf("%v: %+v", c.Seen, r)
		}
	}
}

func TestSequentialTestsAgree(t *testing.T) {
	f := readFigures(t)
	for _, c := range f.RatioEvidence {
		e, err := RatioEvidence(c.Seen, c.Weights)
		if err != nil {
			t.Fatal(err)
		}
		same(t, fmt.Sprint("evidence of the ratio ", c.Seen), e, c.E)
	}
	for _, c := range f.ExcessEvidence {
		e, err := ExcessEvidence(c.Hits, c.N, c.Most)
		if err != nil {
			t.Fatal(err)
		}
		same(t, fmt.Sprintf("evidence of %d of %d above %v", c.Hits, c.N, c.Most), e, c.E)
	}
}

func TestHolmAgrees(t *testing.T) {
	for _, c := range readFigures(t).Holm {
		for i, p := range Holm(c.P) {
			same(t, "adjusted p", p, c.Adjusted[i])
		}
	}
}

func TestPlanAgrees(t *testing.T) {
	for _, c := range readFigures(t).Plan {
		got, err := Plan{Baseline: c.Baseline, Lift: c.Lift, Power: c.Power, Alpha: c.Alpha, Split: c.Split}.Users()
		if err != nil {
			t.Fatal(err)
		}
		want := []int{int(math.Ceil(c.Control)), int(math.Ceil(c.Arm))}
		if got.Arms[0] != want[0] || got.Arms[1] != want[1] || got.Total != want[0]+want[1] {
			t.Errorf("%+v: %+v, want %v", c, got, want)
		}
		if c.Alpha == Alpha { // always-valid intervals are at 95 %
			same(t, "always-valid users", float64(got.AlwaysValid), math.Ceil(max(c.AlwaysValid, float64(got.Total))))
		}
	}
}
