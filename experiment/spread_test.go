package experiment

import (
	"fmt"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"
)

// The statistical tests run on fixed ids, so they give the same figure every
// time. A p-value below oddly says "not what chance gives"; one above 1-oddly
// says "smoother than chance", which is a defect of a hash as well. About 500
// figures are looked at in all, so this is a chance of one in a thousand that a
// perfect hash would have been called odd.
const oddly = 1e-6

const population = 100_000

// idForms are ids as they occur: small differences between neighbours are what
// a weak hash stumbles over.
var idForms = map[string]string{
	"numbers":  "%d",
	"prefixed": "user-%d",
	"padded":   "%012d",
	"uuid":     "72d76fde-8bb3-4e00-8c23-%012x",
	"e-mail":   "%d@example.com",
}

// chiSquare compares what was seen with what is expected.
func chiSquare(seen []int, expected []float64) (statistic, p float64) {
	for i, n := range seen {
		d := float64(n) - expected[i]
		statistic += d * d / expected[i]
	}
	return statistic, distuv.ChiSquared{K: float64(len(seen) - 1)}.Survival(statistic)
}

// independence is the chi-square test of a contingency table.
func independence(table [][]int) (statistic, p float64) {
	rows, columns := make([]float64, len(table)), make([]float64, len(table[0]))
	var total float64
	for i, row := range table {
		for j, n := range row {
			rows[i] += float64(n)
			columns[j] += float64(n)
			total += float64(n)
		}
	}
	for i, row := range table {
		for j, n := range row {
			e := rows[i] * columns[j] / total
			d := float64(n) - e
			statistic += d * d / e
		}
	}
	df := float64((len(rows) - 1) * (len(columns) - 1))
	return statistic, distuv.ChiSquared{K: df}.Survival(statistic)
}

func even(cells int) []float64 {
	out := make([]float64, cells)
	for i := range out {
		out[i] = population / float64(cells)
	}
	return out
}

func idsOf(form string) []string {
	out := make([]string, population)
	for i := range out {
		out[i] = fmt.Sprintf(form, i)
	}
	return out
}

func bucketsOf(t *testing.T, kind Kind, salt string, ids []string) []uint16 {
	t.Helper()
	out := make([]uint16, len(ids))
	for i, id := range ids {
		bucket, err := Bucket(kind, salt, id)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = bucket
	}
	return out
}

func TestBucketsAreUniform(t *testing.T) {
	for name, form := range idForms {
		ids := idsOf(form)
		for _, salt := range []string{"cart_coupon", "a", ""} {
			buckets := bucketsOf(t, KindVariant, salt, ids)
			for _, cells := range []int{10, 100, Buckets} {
				seen := make([]int, cells)
				for _, bucket := range buckets {
					seen[int(bucket)*cells/Buckets]++
				}
				if statistic, p := chiSquare(seen, even(cells)); p < oddly || p > 1-oddly {
					t.Errorf("ids %s, salt %q, %d cells: chi-square %.1f, p = %g", name, salt, cells, statistic, p)
				}
			}
		}
	}
}

func TestArmsGetTheirShare(t *testing.T) {
	for name, form := range idForms {
		ids := idsOf(form)
		for _, weights := range [][]int{{20, 80}, {50, 50}, {1, 1, 1}, {3, 1, 3, 17}} {
			for _, coverage := range []int{30, 100} {
				e := Experiment{Name: "shares", Coverage: coverage}
				for i, w := range weights {
					e.Arms = append(e.Arms, Arm{fmt.Sprint("arm", i), w})
				}
				a, err := Compile(&e)
				if err != nil {
					t.Fatal(err)
				}
				seen := make([]int, len(weights)+1) // the last cell: not covered
				expected := make([]float64, len(seen))
				for i, r := range e.ranges() {
					expected[i] = float64(r.to-r.from) * population / Buckets
					expected[len(weights)] += float64(r.end-r.to) * population / Buckets
				}
				for _, id := range ids {
					got, err := a.Assign(id)
					switch {
					case err != nil:
						t.Fatal(err)
					case got.Excluded:
						seen[len(weights)]++
					default:
						seen[got.Index]++
					}
				}
				if coverage == 100 {
					if n := seen[len(weights)]; n != 0 {
						t.Errorf("ids %s, weights %v: %d excluded at full coverage", name, weights, n)
					}
					seen, expected = seen[:len(weights)], expected[:len(weights)]
				}
				if statistic, p := chiSquare(seen, expected); p < oddly {
					t.Errorf("ids %s, weights %v, coverage %d: seen %v, expected %.0f: chi-square %.1f, p = %g",
						name, weights, coverage, seen, expected, statistic, p)
				}
			}
		}
	}
}

// What arm a user has in one experiment says nothing about another, nor about
// the holdout or a layer, also when the salts are much alike.
func TestExperimentsAreIndependent(t *testing.T) {
	cuts := []struct {
		kind Kind
		salt string
	}{
		{KindVariant, "cart_coupon"},
		{KindVariant, "cart_coupon2"},
		{KindVariant, "cart_coupon3"},
		{KindVariant, "dart_coupon"},
		{KindVariant, "a"},
		{KindVariant, "b"},
		{KindVariant, ""},
		{KindHoldout, "cart_coupon"},
		{KindLayer, "cart_coupon"},
	}
	const deciles = 10
	for name, form := range idForms {
		ids := idsOf(form)
		var columns [][]uint16
		for _, cut := range cuts {
			columns = append(columns, bucketsOf(t, cut.kind, cut.salt, ids))
		}
		for i := range cuts {
			for j := range i {
				table := make([][]int, deciles)
				for k := range table {
					table[k] = make([]int, deciles)
				}
				arms := [][]int{{0, 0}, {0, 0}} // of 20/80 against 20/80
				for k := range population {
					x, y := int(columns[i][k]), int(columns[j][k])
					table[x*deciles/Buckets][y*deciles/Buckets]++
					arms[boolIndex(x < 2000)][boolIndex(y < 2000)]++
				}
				if statistic, p := independence(table); p < oddly || p > 1-oddly {
					t.Errorf("ids %s, %v and %v by deciles: chi-square %.1f, p = %g", name, cuts[i], cuts[j], statistic, p)
				}
				if statistic, p := independence(arms); p < oddly {
					t.Errorf("ids %s, %v and %v by arms %v: chi-square %.1f, p = %g", name, cuts[i], cuts[j], arms, statistic, p)
				}
			}
		}
	}
}

func boolIndex(b bool) int {
	if b {
		return 1
	}
	return 0
}

// The instruments themselves: what is skewed or dependent must be noticed.
func TestTheTestsNotice(t *testing.T) {
	seen := []int{population/2 + 1000, population/2 - 1000} // 51 % to 49 %
	if _, p := chiSquare(seen, even(2)); p > oddly {
		t.Errorf("a share of 51 %% instead of 50 %% passes with p = %g", p)
	}
	if _, p := chiSquare([]int{population / 2, population / 2}, even(2)); p < 0.99 {
		t.Errorf("a perfect split has p = %g, want 1", p)
	}
	// 20/80 against 20/80 with a correlation (phi) of 0.02.
	if _, p := independence([][]int{{4320, 15680}, {15680, 64320}}); p > oddly {
		t.Errorf("a correlation of 0.02 passes with p = %g", p)
	}
	// A figure from a published table: 3.841 is the 95 % point of one degree of freedom.
	if p := (distuv.ChiSquared{K: 1}).Survival(3.841459); p < 0.0499 || p > 0.0501 {
		t.Errorf("the 95 %% point of chi-square has p = %g", p)
	}
}

func TestRaisingCoverageMovesNobody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(3, 50), 1, 6).Draw(t, "weights") // 3 of 253 is a bucket at 1 %
		low := rapid.IntRange(1, 99).Draw(t, "low")
		high := rapid.IntRange(low+1, 100).Draw(t, "high")
		e := Experiment{Name: rapid.StringMatching(`[a-z]{1,8}`).Draw(t, "name")}
		for i, w := range weights {
			e.Arms = append(e.Arms, Arm{fmt.Sprint("arm", i), w})
		}
		units := rapid.SliceOfN(rapid.StringMatching(`[a-z0-9]{1,12}`), 200, 400).Draw(t, "units")
		at := func(coverage int) *Assigner {
			e.Coverage = coverage
			a, err := Compile(&e)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		before, after, full := at(low), at(high), at(100)
		for _, unit := range units {
			b, errB := before.Assign(unit)
			a, errA := after.Assign(unit)
			f, errF := full.Assign(unit)
			if errA != nil || errB != nil || errF != nil {
				t.Fatal(errA, errB, errF)
			}
			if !b.Excluded && a != b {
				t.Fatalf("unit %q: %+v at %d %%, %+v at %d %%", unit, b, low, a, high)
			}
			if !a.Excluded && f != a || f.Excluded {
				t.Fatalf("unit %q: %+v at %d %%, %+v at 100 %%", unit, a, high, f)
			}
		}
	})
}

// Raising the coverage does bring somebody in: the property above is not empty.
func TestCoverageGrows(t *testing.T) {
	for _, coverage := range []int{1, 10, 50, 99, 100} {
		e := Experiment{Name: "e", Coverage: coverage, Arms: []Arm{{"a", 20}, {"b", 80}}}
		if err := e.Validate(); err != nil {
			t.Fatal(err)
		}
		covered := 0
		for _, r := range e.ranges() {
			covered += int(r.to - r.from)
		}
		if covered != coverage*100 {
			t.Errorf("coverage %d %% covers %d buckets", coverage, covered)
		}
	}
}

// Slots that do not overlap in one layer share nobody, and together have all.
func TestLayersExclude(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cut := rapid.IntRange(1, 99).Draw(t, "cut")
		layer := rapid.StringMatching(`[a-z]{1,8}`).Draw(t, "layer")
		slot := func(name string, from, to int) *Assigner {
			a, err := Compile(&Experiment{Name: name, Arms: []Arm{{"all", 1}}, Layer: &Layer{layer, from, to}})
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		lower, upper := slot("lower", 0, cut), slot("upper", cut, 100)
		for _, unit := range rapid.SliceOfN(rapid.String(), 1, 200).Draw(t, "units") {
			if strings.Contains(unit, "\x00") {
				continue
			}
			l, errL := lower.Assign(unit)
			u, errU := upper.Assign(unit)
			if errL != nil || errU != nil {
				t.Fatal(errL, errU)
			}
			if l.Excluded == u.Excluded {
				t.Fatalf("unit %q with the layer cut at %d: %+v and %+v", unit, cut, l, u)
			}
		}
	})
}

func FuzzAssign(f *testing.F) {
	f.Add("cart_coupon", "u1", 20, 80, 100, 0, 100)
	f.Add("e", "", 1, 2, 1, 50, 51)
	f.Add("a\x00", "u", 1, 1, 1, 0, 1)
	f.Add("e", "u\x00", 1, 1, 1, 0, 1)
	f.Add("e", "u", -1, 1<<62, 200, 90, 10)
	f.Fuzz(func(t *testing.T, name, unit string, first, second, coverage, from, to int) {
		e := Experiment{Name: name, Arms: []Arm{{"a", first}, {"b", second}}, Coverage: coverage, Layer: &Layer{"l", from, to}}
		a, err := Compile(&e)
		if err != nil {
			return
		}
		got, err := a.Assign(unit)
		if strings.Contains(unit, "\x00") != (err != nil) {
			t.Fatalf("unit %q: error %v", unit, err)
		}
		if err != nil {
			return
		}
		if got.Bucket != plainBucket(KindVariant, name, unit) {
			t.Fatalf("unit %q: bucket %d, want %d", unit, got.Bucket, plainBucket(KindVariant, name, unit))
		}
		slot := int(plainBucket(KindLayer, "l", unit))
		inSlot := slot >= from*100 && slot < to*100
		if inSlot == (got.Because == OutsideOfLayer) {
			t.Fatalf("unit %q in layer bucket %d, slot %d..%d: %+v", unit, slot, from, to, got)
		}
		if got.Excluded != (got.Because != NotExcluded) || got.Excluded != (got.Arm == "") || got.Excluded != (got.Index == -1) {
			t.Fatalf("unit %q: %+v contradicts itself", unit, got)
		}
	})
}
