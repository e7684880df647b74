package stats

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

// The simulations are seeded: the same figures every time.
const (
	simulated = 2_000
	days      = 30
	daily     = 200 // users in each arm a day
)

// daysOf plays one experiment and calls look at the end of each day.
func daysOf(random *rand.Rand, control, arm float64, look func(day int, c, a Proportion)) {
	c := distuv.Binomial{N: daily, P: control, Src: random}
	a := distuv.Binomial{N: daily, P: arm, Src: random}
	var pc, pa Proportion
	for day := range days {
		pc.N, pa.N = pc.N+daily, pa.N+daily
		pc.Converted += int(c.Rand())
		pa.Converted += int(a.Rand())
		look(day, pc, pa)
	}
}

// Nobody is treated differently, and somebody looks every day: the always-valid
// verdict is wrong in at most 5 % of experiments, the fixed test in far more.
func TestLookingEveryDayAtNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(20261127, 1))
	always, naive := 0, 0
	for range simulated {
		wrongAlways, wrongNaive := false, false
		daysOf(random, 0.1, 0.1, func(_ int, c, a Proportion) {
			e, err := Conversion(c, a)
			if err != nil {
				return
			}
			wrongAlways = wrongAlways || e.AlwaysValid.Excludes(0)
			wrongNaive = wrongNaive || e.P < Alpha
		})
		if wrongAlways {
			always++
		}
		if wrongNaive {
			naive++
		}
	}
	t.Logf("of %d A/A experiments looked at on %d days: wrong by the always-valid interval %d (%.1f %%), by the naive z-test %d (%.1f %%)",
		simulated, days, always, 100*float64(always)/simulated, naive, 100*float64(naive)/simulated)
	if always > simulated*5/100 {
		t.Errorf("the always-valid interval erred in %d of %d experiments, more than 5 %%", always, simulated)
	}
	if naive < simulated*20/100 {
		t.Errorf("the naive test erred in only %d of %d experiments: is anybody looking?", naive, simulated)
	}
}

// The same for values that most users lack and a few have much of, where the
// normal approximation has the most to do.
func TestLookingEveryDayAtValues(t *testing.T) {
	random := rand.New(rand.NewPCG(20261127, 2))
	spend := distuv.LogNormal{Mu: 3, Sigma: 1, Src: random}
	const experiments = 1_000
	wrong, naive := 0, 0
	for range experiments {
		var s [2]Sample
		wrongNow, naiveNow := false, false
		for range days {
			for i := range s {
				buyers := int(distuv.Binomial{N: daily, P: 0.05, Src: random}.Rand())
				for range buyers {
					s[i].Add(spend.Rand())
				}
				s[i].AddZeros(daily - buyers)
			}
			e, err := Value(s[0], s[1])
			if err != nil {
				t.Fatal(err)
			}
			wrongNow = wrongNow || e.AlwaysValid.Excludes(0)
			naiveNow = naiveNow || e.P < Alpha
		}
		if wrongNow {
			wrong++
		}
		if naiveNow {
			naive++
		}
	}
	t.Logf("values, %d A/A experiments: wrong by the always-valid interval %d, by the naive t-test %d", experiments, wrong, naive)
	if wrong > experiments*5/100 || naive < experiments*20/100 {
		t.Errorf("of %d: always-valid %d, naive %d", experiments, wrong, naive)
	}
}

// A known effect is found, and the intervals hold it as often as they promise.
func TestKnownEffectIsRecovered(t *testing.T) {
	const rate, lift = 0.10, 0.20
	random := rand.New(rand.NewPCG(20261127, 3))
	var fixed, lifts, everyDay, found, sum, sumLift float64
	for range simulated {
		covered := true
		daysOf(random, rate, rate*(1+lift), func(day int, c, a Proportion) {
			e, err := Conversion(c, a)
			l, errLift := ConversionLift(c, a)
			if err != nil || errLift != nil {
				t.Fatal(err, errLift)
			}
			covered = covered && !e.AlwaysValid.Excludes(rate*lift)
			if day < days-1 {
				return
			}
			sum += e.Diff
			sumLift += l.Lift
			if !e.CI.Excludes(rate * lift) {
				fixed++
			}
			if !l.CI.Excludes(lift) {
				lifts++
			}
			if e.AlwaysValid.Low > 0 {
				found++
			}
		})
		if covered {
			everyDay++
		}
	}
	t.Logf("difference %.5f (true %.5f), lift %.4f (true %.4f); covered: fixed %.3f, lift %.3f, always-valid on all days %.3f; found by the last day %.3f",
		sum/simulated, rate*lift, sumLift/simulated, lift, fixed/simulated, lifts/simulated, everyDay/simulated, found/simulated)
	// Three standard errors of a share of 0.95 of 2,000 are 0.015.
	for what, share := range map[string]float64{"interval of the difference": fixed / simulated, "interval of the lift": lifts / simulated} {
		if math.Abs(share-0.95) > 0.015 {
			t.Errorf("the %s holds the truth in %.3f, promised are 0.95", what, share)
		}
	}
	if everyDay/simulated < 0.95 {
		t.Errorf("the always-valid interval holds the truth on all days in %.3f, promised are at least 0.95", everyDay/simulated)
	}
	if math.Abs(sum/simulated-rate*lift) > 0.0005 || math.Abs(sumLift/simulated-lift) > 0.01 {
		t.Errorf("the effect comes out as %.5f (%.4f), true are %.5f (%.4f)", sum/simulated, sumLift/simulated, rate*lift, lift)
	}
	if found/simulated < 0.5 {
		t.Errorf("the effect is seen in %.3f of experiments only", found/simulated)
	}
}

// Welch's interval and CUPED's cover, and CUPED's is as much narrower as it says.
func TestCUPEDCoversAndSaves(t *testing.T) {
	random := rand.New(rand.NewPCG(20261127, 4))
	const users, effect = 300, 2.0
	var plain, adjusted, saved float64
	for range simulated {
		var s [2]Sample
		for i := range s {
			for range users {
				x := random.ExpFloat64() * 10
				s[i].AddWith(0.9*x+random.NormFloat64()*9+float64(i)*effect, x)
			}
		}
		e, err := Value(s[0], s[1])
		a, errA := CUPED(s[0], s[1])
		if err != nil || errA != nil {
			t.Fatal(err, errA)
		}
		if !e.CI.Excludes(effect) {
			plain++
		}
		if !a.CI.Excludes(effect) {
			adjusted++
		}
		saved += a.VarianceReduction
	}
	t.Logf("covered: Welch %.3f, CUPED %.3f; variance reduced by %.3f", plain/simulated, adjusted/simulated, saved/simulated)
	for what, share := range map[string]float64{"Welch": plain / simulated, "CUPED": adjusted / simulated} {
		if math.Abs(share-0.95) > 0.015 {
			t.Errorf("%s holds the truth in %.3f, promised are 0.95", what, share)
		}
	}
	// cov² / (var var) = (0.9·100)² / (100 · (81+81)) = 0.5.
	if math.Abs(saved/simulated-0.5) > 0.02 {
		t.Errorf("variance reduced by %.3f, 0.5 is what the covariate explains", saved/simulated)
	}
}

// With the users that a plan asks for, the effect is seen as often as it says.
func TestPlanKeepsItsPromise(t *testing.T) {
	random := rand.New(rand.NewPCG(20261127, 5))
	p := Plan{Baseline: 0.1, Lift: 0.3, Power: 0.8, Alpha: 0.05, Split: []float64{30, 70}}
	n, err := p.Users()
	if err != nil {
		t.Fatal(err)
	}
	seen, seenAlways := 0.0, 0.0
	draw := func(n int, rate float64) Proportion {
		return Proportion{n, int(distuv.Binomial{N: float64(n), P: rate, Src: random}.Rand())}
	}
	for range simulated {
		e, err := Conversion(draw(n.Arms[0], p.Baseline), draw(n.Arms[1], p.Baseline*(1+p.Lift)))
		if err != nil {
			t.Fatal(err)
		}
		if e.P < p.Alpha {
			seen++
		}
		e, err = Conversion(draw(n.AlwaysValid*3/10, p.Baseline), draw(n.AlwaysValid*7/10, p.Baseline*(1+p.Lift)))
		if err != nil {
			t.Fatal(err)
		}
		if e.AlwaysValid.Low > 0 {
			seenAlways++
		}
	}
	t.Logf("seen with the planned %+v: %.3f at one look, %.3f by the always-valid interval (power 0.8)", n, seen/simulated, seenAlways/simulated)
	// Three standard errors are 0.027.
	if math.Abs(seen/simulated-0.8) > 0.03 || math.Abs(seenAlways/simulated-0.8) > 0.03 {
		t.Errorf("the effect is seen in %.3f and %.3f, planned was 0.8", seen/simulated, seenAlways/simulated)
	}
}
