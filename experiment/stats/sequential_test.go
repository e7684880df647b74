package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Looked at again and again, nothing that is as it should be raises an alarm more
// often than promised, at the limit itself; what is past it does.
func TestSequentialTestsHoldAtEveryLook(t *testing.T) {
	const runs, users, every, level = 400, 2000, 10, 0.05
	random := rand.New(rand.NewPCG(6, 4))
	ever := func(look func(i int) float64) bool {
		for i := range users {
			if look(i) >= 1/level {
				return true
			}
		}
		return false
	}
	count := func(run func() bool) (share float64) {
		for range runs {
			if run() {
				share += 1.0 / runs
			}
		}
		return share
	}
	ratio := func(control float64) func() bool {
		return func() bool {
			seen := []int{0, 0}
			return ever(func(i int) float64 {
				if random.Float64() < control {
					seen[0]++
				} else {
					seen[1]++
				}
				if i%every > 0 {
					return 0 // to be quick
				}
				e, err := RatioEvidence(seen, []float64{20, 80})
				if err != nil {
					t.Fatal(err)
				}
				return e
			})
		}
	}
	excess := func(rate float64) func() bool {
		return func() bool {
			hits := 0
			return ever(func(i int) float64 {
				if random.Float64() >= rate {
					return 0 // a hit alone raises it
				}
				hits++
				e, err := ExcessEvidence(hits, i+1, 0.02)
				if err != nil {
					t.Fatal(err)
				}
				return e
			})
		}
	}
	for _, c := range []struct {
		what      string
		run       func() bool
		low, high float64
	}{
		{"the intended ratio", ratio(0.2), 0, level},
		{"another ratio", ratio(0.25), 0.9, 1},
		{"a rate at the limit", excess(0.02), 0.001, level},
		{"a rate below it", excess(0.01), 0, 0.01},
		{"a rate of twice the limit", excess(0.04), 0.9, 1},
	} {
		share := count(c.run)
		t.Logf("%s: alarm in %.1f %%", c.what, 100*share)
		if share < c.low || share > c.high {
			t.Errorf("%s: alarm in %.1f %% of the runs, want %v to %v %%", c.what, 100*share, 100*c.low, 100*c.high)
		}
	}
}

func TestEdgesOfSequentialTests(t *testing.T) {
	for _, c := range []struct {
		hits, n int
		most    float64
	}{{0, 0, 0.02}, {0, 10_000_000, 0.02}, {1, 10_000_000, 0.5}, {10_000_000, 10_000_000, 1e-9}, {5, 5, 0.999}} {
		if e, err := ExcessEvidence(c.hits, c.n, c.most); err != nil || math.IsNaN(e) || math.IsInf(e, 0) || e < 0 {
			t.Errorf("%+v: %v, %v", c, e, err)
		}
	}
	if e, err := RatioEvidence([]int{0, 0}, []float64{1, 1}); err != nil || math.Abs(e-1) > 1e-9 {
		t.Errorf("nobody: %v, %v", e, err)
	}
	if e, err := RatioEvidence([]int{50_000_000, 0}, []float64{1, 99}); err != nil || !Alarming(e) || math.IsInf(e, 0) {
		t.Errorf("all in one arm: %v, %v", e, err)
	}
	if _, err := ExcessEvidence(2, 1, 0.02); err == nil {
		t.Error("more hit than there are")
	}
	if _, err := ExcessEvidence(0, 1, 1); err == nil {
		t.Error("a limit of all")
	}
	if _, err := RatioEvidence([]int{1}, []float64{1, 1}); err == nil {
		t.Error("arms without a weight")
	}
	if _, err := RatioEvidence([]int{1, 2}, []float64{1, 0}); err == nil {
		t.Error("a weight of nothing")
	}
}
