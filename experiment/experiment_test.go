package experiment

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func twoArms() []Arm { return []Arm{{"control", 20}, {"treatment", 80}} }

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		experiment Experiment
		want       []string // one per problem; none: valid
	}{
		"plain":            {Experiment{Name: "e", Arms: twoArms()}, nil},
		"everything given": {Experiment{Name: "e", Salt: "s", Arms: twoArms(), Coverage: 1, Phase: 2, Layer: &Layer{"cart", 99, 100}}, nil},
		"one arm":          {Experiment{Name: "e", Arms: []Arm{{"all", 1}}}, nil},
		"no name":          {Experiment{Salt: "s", Arms: twoArms()}, []string{"has no name"}},
		"no arms":          {Experiment{Name: "e"}, []string{"has no arms"}},
		"too many arms":    {Experiment{Name: "e", Arms: manyArms(10_001)}, []string{"10001 arms"}},
		"same name twice":  {Experiment{Name: "e", Arms: []Arm{{"a", 1}, {"b", 1}, {"a", 1}}}, []string{`arm "a" is listed twice`}},
		"nameless arm":     {Experiment{Name: "e", Arms: []Arm{{"a", 1}, {"", 1}}}, []string{"arm 2 has no name"}},
		"weight zero":      {Experiment{Name: "e", Arms: []Arm{{"a", 0}}}, []string{`arm "a" (number 1) has weight 0`}},
		"weight negative":  {Experiment{Name: "e", Arms: []Arm{{"a", 10}, {"b", -10}}}, []string{`arm "b" (number 2) has weight -10`}},
		"weight too large": {Experiment{Name: "e", Arms: []Arm{{"a", math.MaxInt}, {"b", 1}}}, []string{`arm "a" (number 1) has weight 9223372036854775807`}},
		"coverage above":   {Experiment{Name: "e", Arms: twoArms(), Coverage: 101}, []string{"coverage is 101"}},
		"coverage below":   {Experiment{Name: "e", Arms: twoArms(), Coverage: -1}, []string{"coverage is -1"}},
		"phase below":      {Experiment{Name: "e", Arms: twoArms(), Phase: -1}, []string{"phase is -1"}},
		"NUL in salt":      {Experiment{Name: "e", Salt: "a\x00b", Arms: twoArms()}, []string{`salt "a\x00b" holds a NUL`}},
		"NUL in name":      {Experiment{Name: "a\x00b", Arms: twoArms()}, []string{`salt "a\x00b" holds a NUL`}},
		"NUL, other salt":  {Experiment{Name: "a\x00b", Salt: "s", Arms: twoArms()}, nil},
		"layer nameless":   {Experiment{Name: "e", Arms: twoArms(), Layer: &Layer{"", 0, 100}}, []string{"its layer has no name"}},
		"layer with NUL":   {Experiment{Name: "e", Arms: twoArms(), Layer: &Layer{"\x00", 0, 100}}, []string{"layer name"}},
		"layer empty":      {Experiment{Name: "e", Arms: twoArms(), Layer: &Layer{"l", 50, 50}}, []string{"layer slot 50..50"}},
		"layer backwards":  {Experiment{Name: "e", Arms: twoArms(), Layer: &Layer{"l", 60, 50}}, []string{"layer slot 60..50"}},
		"layer below":      {Experiment{Name: "e", Arms: twoArms(), Layer: &Layer{"l", -1, 50}}, []string{"layer slot -1..50"}},
		"layer above":      {Experiment{Name: "e", Arms: twoArms(), Layer: &Layer{"l", 0, 101}}, []string{"layer slot 0..101"}},
		"arm without buckets": {
			Experiment{Name: "e", Arms: []Arm{{"a", 1}, {"b", 1_000_000}}},
			[]string{`arm "a" gets none of the 10000 buckets at weight 1 and coverage 100 %`},
		},
		"coverage leaves none": {
			Experiment{Name: "e", Arms: []Arm{{"a", 1}, {"b", 999}}, Coverage: 9},
			[]string{`arm "a" gets none of the 10000 buckets at weight 1 and coverage 9 %`},
		},
		"all at once": {
			Experiment{Salt: "\x00", Arms: []Arm{{"a", -1}, {"a", 1}}, Coverage: 200, Phase: -2, Layer: &Layer{"", 5, 4}},
			[]string{"has no name", "NUL", "coverage is 200", "phase is -2", "weight -1", "listed twice", "layer has no name", "slot 5..4"},
		},
	} {
		err := c.experiment.Validate()
		checkProblems(t, name, err, c.want)
		assigner, compileErr := Compile(&c.experiment)
		if (compileErr == nil) != (err == nil) || (assigner == nil) != (err != nil) {
			t.Errorf("%s: Compile gives %v, Validate %v", name, compileErr, err)
		}
	}
}

func checkProblems(t *testing.T, name string, err error, want []string) {
	t.Helper()
	var problems []error
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		problems = joined.Unwrap()
	}
	if len(problems) != len(want) {
		t.Errorf("%s: %d problems, want %d:\n%v", name, len(problems), len(want), err)
		return
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: no problem says %q:\n%v", name, text, err)
		}
	}
}

func manyArms(n int) []Arm {
	var arms []Arm
	for i := range n {
		arms = append(arms, Arm{Name: strings.Repeat("a", i+1), Weight: 1})
	}
	return arms
}

func TestRanges(t *testing.T) {
	for name, c := range map[string]struct {
		weights  []int
		coverage int
		want     []bucketRange
	}{
		"20/80":            {[]int{20, 80}, 0, []bucketRange{{0, 2000, 2000}, {2000, 10000, 10000}}},
		"20/80 at 30 %":    {[]int{20, 80}, 30, []bucketRange{{0, 600, 2000}, {2000, 4400, 10000}}},
		"1/4 is 20/80":     {[]int{1, 4}, 0, []bucketRange{{0, 2000, 2000}, {2000, 10000, 10000}}},
		"thirds":           {[]int{1, 1, 1}, 0, []bucketRange{{0, 3333, 3333}, {3333, 6666, 6666}, {6666, 10000, 10000}}},
		"thirds at 50 %":   {[]int{1, 1, 1}, 50, []bucketRange{{0, 1666, 3333}, {3333, 4999, 6666}, {6666, 8333, 10000}}},
		"alone":            {[]int{7}, 1, []bucketRange{{0, 100, 10000}}},
		"smallest share":   {[]int{1, 9999}, 100, []bucketRange{{0, 1, 1}, {1, 10000, 10000}}},
		"largest weights":  {[]int{maxWeight, maxWeight}, 100, []bucketRange{{0, 5000, 5000}, {5000, 10000, 10000}}},
		"order is written": {[]int{80, 20}, 0, []bucketRange{{0, 8000, 8000}, {8000, 10000, 10000}}},
	} {
		e := Experiment{Name: "e", Coverage: c.coverage}
		for i, w := range c.weights {
			e.Arms = append(e.Arms, Arm{Name: strings.Repeat("a", i+1), Weight: w})
		}
		if err := e.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := e.ranges()
		for i := range c.want {
			if got[i] != c.want[i] {
				t.Errorf("%s: arm %d owns %v, want %v", name, i, got[i], c.want[i])
			}
		}
	}
}

func TestTenThousandArms(t *testing.T) {
	e := Experiment{Name: "e", Arms: manyArms(Buckets)}
	a, err := Compile(&e)
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.Assign("u1")
	if err != nil || got.Excluded || got.Index != int(got.Bucket) {
		t.Errorf("with one arm per bucket: %+v, %v; want the arm of the bucket's number", got, err)
	}
}

func TestHoldoutValidate(t *testing.T) {
	for name, c := range map[string]struct {
		holdout Holdout
		want    []string
	}{
		"none":         {Holdout{}, nil},
		"five":         {Holdout{5, "s"}, nil},
		"everybody":    {Holdout{100, "s"}, nil},
		"a fraction":   {Holdout{0.07, "s"}, nil},
		"finest":       {Holdout{99.99, "s"}, nil},
		"too fine":     {Holdout{0.005, "s"}, []string{"percent is 0.005: the finest step is 0.01"}},
		"below":        {Holdout{-1, "s"}, []string{"percent is -1"}},
		"above":        {Holdout{100.01, "s"}, []string{"percent is 100.01"}},
		"not a number": {Holdout{math.NaN(), "s"}, []string{"percent is NaN"}},
		"infinite":     {Holdout{math.Inf(1), "s"}, []string{"percent is +Inf"}},
		"no salt":      {Holdout{5, ""}, []string{"has no salt"}},
		"NUL in salt":  {Holdout{5, "\x00"}, []string{"NUL"}},
		"several":      {Holdout{500, ""}, []string{"percent is 500", "has no salt"}},
	} {
		checkProblems(t, name, c.holdout.Validate(), c.want)
	}
}

// Every step of a hundredth of a percent holds out exactly as many buckets.
func TestHoldoutSteps(t *testing.T) {
	for buckets := range Buckets + 1 {
		h := Holdout{Percent: float64(buckets) / 100, Salt: "s"}
		if err := h.Validate(); err != nil || h.limit() != buckets {
			t.Fatalf("%v %% holds out %d buckets (%v), want %d", h.Percent, h.limit(), err, buckets)
		}
	}
}

func TestNULInUnit(t *testing.T) {
	a, err := Compile(&Experiment{Name: "e", Arms: twoArms()})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.Assign("u\x00"); err == nil || !got.Excluded || got.Arm != "" {
		t.Errorf("Assign of a NUL: %+v, %v; want an error and no arm", got, err)
	}
	if in, err := (Holdout{100, "s"}).In("u\x00"); err == nil || in {
		t.Errorf("Holdout.In of a NUL: %v, %v; want an error", in, err)
	}
}

// Whoever compiled an experiment keeps it, whatever happens to the description.
func TestAssignerKeepsItsOwnCopy(t *testing.T) {
	e := Experiment{Name: "e", Arms: twoArms(), Layer: &Layer{"l", 0, 100}}
	a, err := Compile(&e)
	if err != nil {
		t.Fatal(err)
	}
	before, err := a.Assign("u1")
	if err != nil {
		t.Fatal(err)
	}
	e.Arms[0], e.Arms[1] = Arm{"x", 1}, Arm{"y", 1}
	e.Layer.To = 1
	a.Arms()[0] = "z"
	a.Arms()[1] = "z"
	if after, err := a.Assign("u1"); err != nil || after != before {
		t.Errorf("after the description changed: %+v, %v; want %+v", after, err, before)
	}
}

// Shares are of those who take part, whatever the coverage.
func TestShares(t *testing.T) {
	for _, c := range []struct {
		coverage int
		want     []float64
	}{{100, []float64{0.2, 0.8}}, {30, []float64{0.2, 0.8}}, {0, []float64{0.2, 0.8}}} {
		a, err := Compile(&Experiment{Name: "e", Arms: []Arm{{"a", 20}, {"b", 80}}, Coverage: c.coverage})
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Shares(); len(got) != 2 || got[0] != c.want[0] || got[1] != c.want[1] {
			t.Errorf("at %d %%: %v, want %v", c.coverage, got, c.want)
		}
	}
	// One bucket of 3,333 cannot be shared: the shares are those of the buckets.
	a, err := Compile(&Experiment{Name: "e", Arms: []Arm{{"a", 1}, {"b", 1}, {"c", 1}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := a.Shares(); got[0] != 0.3333 || got[2] != 0.3334 {
		t.Errorf("thirds: %v", got)
	}
}
