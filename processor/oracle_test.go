package processor_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/nudged/nudged/processor"
)

// Whatever the rules and events, wherever batches are closed, whenever another
// Partition opens what was written: the records that come out are those of the
// oracle, byte for byte and in its order, and the timer index leads to everything
// that is pending.
func TestPartitionDecidesAsTheOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapidDice(t)
		sc := randomScenario(d, 1+d(2), 1+d(8), 1+d(120))
		s := newStand(t, sc, func(c *processor.Config) {
			c.BatchUsers = pick(d, 1, 3, 1000)
			c.BatchBytes = pick(d, 1, 500, 1<<20)
		})
		for p := range sc.input {
			s.run(d, inputPartition(int32(p)))
		}
		checkOutcome(t, sc, s.log, s.store)
	})
}

// The same on longer streams, evenly drawn.
func TestPartitionDecidesAsTheOracleInTheLongRun(t *testing.T) {
	seeds := uint64(150)
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		d := dice(rand.New(rand.NewPCG(seed, 1)).IntN)
		sc := randomScenario(d, 1+d(3), 1+d(40), 200+d(800))
		s := newStand(seeded{t, seed}, sc, func(c *processor.Config) {
			c.BatchUsers = pick(d, 1, 10, 1000)
			c.BatchBytes = pick(d, 1, 2000, 1<<20)
		})
		for p := range sc.input {
			s.run(d, inputPartition(int32(p)))
		}
		checkOutcome(s.t, sc, s.log, s.store)
	}
}

// seeded names the seed in what it says.
type seeded struct {
	*testing.T
	seed uint64
}

func (s seeded) Errorf(format string, args ...any) {
	s.T.Helper()
	s.T.Errorf("seed %d: %s", s.seed, fmt.Sprintf(format, args...))
}

func (s seeded) Fatalf(format string, args ...any) {
	s.T.Helper()
	s.T.Fatalf("seed %d: %s", s.seed, fmt.Sprintf(format, args...))
}

// run applies the partition's records in pieces, with flushes, publications and
// reopenings in between. It returns how many states have fallen out of the cache.
func (s *stand) run(d dice, tp processor.TopicPartition) (evicted int) {
	part := s.claim(tp)
	cached := map[string]bool{}
	recs, users := s.sc.input[tp.Partition], s.sc.users[tp.Partition]
	for part.Offset() < int64(len(recs)) {
		from := part.Offset()
		to := min(from+1+int64(d(pick(d, 1, 5, 60))), int64(len(recs)))
		// A fetch may begin with records that were applied already.
		s.consume(part, recs[max(0, from-int64(d(4))):to])
		if part.Offset() != to {
			s.t.Fatalf("the records up to %d were delivered, the next is %d", to, part.Offset())
		}
		for _, u := range users {
			is := part.Cached(u)
			if cached[u] && !is {
				evicted++
			}
			cached[u] = is
		}
		if d.chance(60) {
			s.flush(part)
			checkHints(s.t, s.sc.set, s.store, tp, users, part)
		}
		if d.chance(30) {
			s.publish()
		}
		if d.chance(20) {
			// What was not flushed is lost and consumed again.
			part = s.claim(tp)
			clear(cached)
		}
	}
	s.flush(part)
	checkHints(s.t, s.sc.set, s.store, tp, users, part)
	s.publish()
	return evicted
}
