package experiment

import (
	"fmt"
	"math"
	"math/bits"
	"runtime"
	"sync"
	"testing"
)

func millionIDs() []string {
	ids := make([]string, million)
	for i := range ids {
		ids[i] = fmt.Sprintf("user-%d", i)
	}
	return ids
}

// Over a million ids every arm has its share to 0.2 points, and whoever is in at
// some coverage has the same arm at every higher one.
func TestMillionIDs(t *testing.T) {
	ids := millionIDs()
	for _, weights := range [][]int{{20, 80}, {50, 50}, {1, 1, 1}, {5, 15, 30, 50}} {
		e := Experiment{Name: "million"}
		total := 0
		for i, w := range weights {
			e.Arms = append(e.Arms, Arm{fmt.Sprint("arm", i), w})
			total += w
		}
		before := make([]int8, len(ids)) // arm + 1; 0: not in yet
		for _, coverage := range []int{10, 30, 75, 100} {
			e.Coverage = coverage
			a, err := Compile(&e)
			if err != nil {
				t.Fatal(err)
			}
			seen := make([]int, len(weights))
			for i, id := range ids {
				got, err := a.Assign(id)
				if err != nil {
					t.Fatal(err)
				}
				if got.Excluded {
					if before[i] != 0 {
						t.Fatalf("%s was in arm %d and is out at %d %%", id, before[i]-1, coverage)
					}
					continue
				}
				if before[i] != 0 && int(before[i]-1) != got.Index {
					t.Fatalf("%s moves from arm %d to %d at %d %%", id, before[i]-1, got.Index, coverage)
				}
				before[i] = int8(got.Index + 1)
				seen[got.Index]++
			}
			for i, n := range seen {
				share, want := float64(n)/million, float64(weights[i])/float64(total)*float64(coverage)/100
				// 0.2 points of a million; of fewer, as much more as chance has.
				if math.Abs(share-want) > 0.002*math.Sqrt(1_000_000/float64(million)) {
					t.Errorf("weights %v at %d %%: arm %d has %.2f %%, want %.2f %%", weights, coverage, i, 100*share, 100*want)
				}
			}
		}
	}
}

// Two hundred experiments on the same ids, each pair of them: the arm in one
// says nothing about the arm in the other.
func TestTwoHundredExperimentsAreIndependent(t *testing.T) {
	const experiments = 200
	ids := millionIDs()
	columns := make([][]uint64, experiments) // a bit for each id: in the first arm
	assigners := make([]*Assigner, experiments)
	for k := range experiments {
		var err error
		assigners[k], err = Compile(&Experiment{Name: fmt.Sprint("experiment-", k), Arms: []Arm{{"control", 50}, {"treatment", 50}}})
		if err != nil {
			t.Fatal(err)
		}
		columns[k] = make([]uint64, (len(ids)+63)/64)
	}
	ones := make([]int, experiments)
	// Block by block, so that the ids stay in the processor's cache; a block is
	// whole words, so that no two goroutines share one.
	const block = 4096
	var wg sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for from := range next {
				for k, a := range assigners {
					for i := from; i < min(from+block, len(ids)); i++ {
						got, err := a.Assign(ids[i])
						if err != nil {
							t.Error(err)
						}
						columns[k][i/64] |= uint64(1-got.Index) << (i % 64)
					}
				}
			}
		})
	}
	for from := 0; from < len(ids); from += block {
		next <- from
	}
	close(next)
	wg.Wait()
	if t.Failed() {
		return
	}
	for k, column := range columns {
		for _, word := range column {
			ones[k] += bits.OnesCount64(word)
		}
	}
	var sum, worst float64
	pairs := 0
	for i := range experiments {
		for j := range i {
			both := 0
			for w, word := range columns[i] {
				both += bits.OnesCount64(word & columns[j][w])
			}
			n, a, b := float64(million), float64(ones[i]), float64(ones[j])
			phi := math.Abs(n*float64(both)-a*b) / math.Sqrt(a*b*(n-a)*(n-b))
			sum += phi
			worst = max(worst, phi)
			pairs++
		}
	}
	t.Logf("%d pairs over %d ids: phi %.5f on average, %.5f at most", pairs, million, sum/float64(pairs), worst)
	if sum/float64(pairs) > 0.01 || worst > 6/math.Sqrt(million) {
		t.Errorf("phi is %.5f on average and %.5f at most", sum/float64(pairs), worst)
	}
}
