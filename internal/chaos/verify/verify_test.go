package verify_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nudged/nudged/internal/chaos/verify"
	"github.com/nudged/nudged/internal/chaos/workload"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/sim"
	"github.com/nudged/nudged/sinks"
)

func (s seen) wall() *verify.Findings {
	return verify.WallClock(&topics, s.inputs, s.outputs, s.dead, func(int64) int64 { return 0 })
}

// The model and the engine, which share nothing, agree on histories of the
// workload; and every outcome is reached.
func TestModelAgreesWithTheEngine(t *testing.T) {
	all := map[string]int{}
	for seed := uint64(1); seed <= 8; seed++ {
		f := wallRun(t, seed, 2500).wall()
		if !f.Clean() || f.Owed < 100 {
			t.Fatalf("seed %d: %d owed, %d lost, %d duplicated, %d extra:\n%s", seed, f.Owed, f.Lost, f.Duplicated, f.Extra,
				strings.Join(f.Problems[:min(5, len(f.Problems))], "\n"))
		}
		for o, n := range f.Outcomes {
			all[o] += n
		}
	}
	for _, o := range []string{"command", "sent", "control", "holdout", "condition", "cooldown", "consent", "cap", "cancelled", "converted"} {
		if all[o] < 5 {
			t.Errorf("%q was decided %d times: the workload does not reach it", o, all[o])
		}
	}
	t.Log(all)
}

// Whatever is changed in a valid history is noticed.
func TestWallClockNoticesWhatIsWrong(t *testing.T) {
	whole := wallRun(t, 3, 2500)
	// pick returns the place of some record in the middle for which ok holds.
	pick := func(outputs []verify.Output, ok func(o verify.Output) bool) int {
		for i := len(outputs) / 3; i < len(outputs); i++ {
			if ok(outputs[i]) {
				return i
			}
		}
		t.Fatal("no such record in the history")
		return -1
	}
	isSend := func(o verify.Output) bool { return o.Send }
	byTimer := func(o verify.Output) bool { return !o.Send && strings.Contains(o.Mark, ";k=t;") }
	batchOf := func(o verify.Output) string { return o.Mark[:strings.Index(o.Mark, ";i=")] }
	for name, spoil := range map[string]func(s *seen){
		"a command is missing": func(s *seen) {
			i := pick(s.outputs, isSend)
			s.outputs = slices.Delete(s.outputs, i, i+1)
		},
		"a decision is missing": func(s *seen) {
			i := pick(s.outputs, func(o verify.Output) bool { return !o.Send })
			s.outputs = slices.Delete(s.outputs, i, i+1)
		},
		"a batch is missing": func(s *seen) {
			gone := batchOf(s.outputs[len(s.outputs)/2])
			s.outputs = slices.DeleteFunc(s.outputs, func(o verify.Output) bool { return batchOf(o) == gone })
		},
		"the last batch is missing": func(s *seen) {
			gone := batchOf(s.outputs[len(s.outputs)-1])
			s.outputs = slices.DeleteFunc(s.outputs, func(o verify.Output) bool { return batchOf(o) == gone })
		},
		"a command is there twice": func(s *seen) {
			again := s.outputs[pick(s.outputs, isSend)]
			again.Offset = 1 << 40
			s.outputs = append(s.outputs, again)
		},
		"a batch was decided twice": func(s *seen) {
			o := s.outputs[pick(s.outputs, isSend)]
			for _, other := range s.outputs {
				if batchOf(other) == batchOf(o) {
					before, after, _ := strings.Cut(other.Mark, ";e=")
					other.Mark = before + ";e=9" + after
					s.outputs = append(s.outputs, other)
				}
			}
		},
		"another outcome": func(s *seen) {
			i := pick(s.outputs, byTimer)
			s.outputs[i].Value = []byte(strings.Replace(string(s.outputs[i].Value), `"decision":"`, `"decision":"cap`, 1))
		},
		"before it was due": func(s *seen) {
			i := pick(s.outputs, byTimer)
			s.outputs[i].Mark = s.outputs[i].Mark[:strings.Index(s.outputs[i].Mark, ";c=")] + ";c=1767000000001"
		},
		"wrong partition": func(s *seen) {
			s.outputs[pick(s.outputs, isSend)].Partition ^= 1
		},
		"fired although an event had ended it": func(s *seen) {
			// As if what cancelled it had lain before what fired.
			i := pick(s.outputs, func(o verify.Output) bool { return strings.Contains(string(o.Value), `"decision":"cancelled"`) })
			s.outputs[i].Value = []byte(strings.Replace(string(s.outputs[i].Value), "cancelled", "sent", 1))
		},
		"the clock ran ahead of the log": func(s *seen) {
			// Events behind the firing were known to be there long before.
			for i := range s.inputs {
				s.inputs[i].Acked -= 1_000_000
			}
		},
		"no dead letter":         func(s *seen) { s.dead = s.dead[1:] },
		"two dead letters":       func(s *seen) { s.dead = append(s.dead, s.dead[0]) },
		"a dead letter too many": func(s *seen) { s.dead = append(s.dead, verify.DeadLetter{Partition: 1, Offset: 1 << 30}) },
	} {
		t.Run(name, func(t *testing.T) {
			s := seen{slices.Clone(whole.inputs), slices.Clone(whole.outputs), slices.Clone(whole.dead)}
			spoil(&s)
			f := s.wall()
			if f.Clean() {
				t.Fatal("nothing was noticed")
			}
			t.Log(f.Problems[0])
		})
	}
}

// What is committed tells of exactly what is visible.
func TestPositions(t *testing.T) {
	ends := map[int32]int64{0: 10, 1: 0}
	for metadata, clean := range map[string]bool{
		"n1;o=10;s=9;l=7;c=5": true, "n1;o=10;s=9;l=8;c=5": false, "n1;o=9;s=9;l=7;c=5": false, "": false,
	} {
		f := &verify.Findings{Newest: map[int32]int64{0: 7}}
		f.Positions(map[int32]string{0: metadata, 1: "n1;o=0;s=0;l=0"}, ends)
		if f.Clean() != clean {
			t.Errorf("%q: %v", metadata, f.Problems)
		}
	}
}

// eventRun makes a history on the event clock: what the simulation decides, in
// batches.
func eventRun(t *testing.T, seed uint64) (*rules.Set, seen) {
	t.Helper()
	set := rulesOf(t, workload.EventRules)
	d := &driver{set: set, dice: rand.New(rand.NewPCG(seed, 2))}
	var parts []*drivenPartition
	for n := range topics.EventParts {
		parts = append(parts, &drivenPartition{n: n, epoch: 1})
	}
	s := sim.New(set, int(topics.EventParts), false, func(n int32, dec *rules.Decision) {
		if !dec.Verbose {
			d.emit(parts[n], 'e', parts[n].offset, &rules.Result{Decisions: []rules.Decision{*dec}})
		}
	})
	g := workload.NewEvent(seed, 25)
	now := int64(1_700_000_000_000)
	for range 3000 {
		now += d.dice.Int64N(120_000)
		rec := g.Next(now)
		p := parts[s.PartitionOf(rec.Key)]
		in := verify.Input{Partition: p.n, Offset: p.offset, Value: rec.Value}
		d.inputs = append(d.inputs, in)
		e, err := workload.Parse(rec.Value)
		if err != nil {
			d.dead = append(d.dead, verify.DeadLetter{Partition: in.Partition, Offset: in.Offset})
		} else {
			ev := verify.EventOf(set, &e)
			ev.Partition, ev.Offset = in.Partition, in.Offset
			s.ApplyAt(ev)
		}
		p.offset++
		p.clock = max(p.clock, now)
		if d.dice.IntN(5) == 0 {
			d.flush(p)
		}
	}
	for _, p := range parts {
		d.flush(p)
	}
	return set, d.seen
}

func TestEventClockNoticesWhatIsWrong(t *testing.T) {
	set, whole := eventRun(t, 5)
	f := verify.EventClock(&topics, set, whole.inputs, whole.outputs, whole.dead)
	if !f.Clean() || f.Owed < 100 {
		t.Fatalf("%d owed, %d lost, %d extra: %v", f.Owed, f.Lost, f.Extra, f.Problems[:min(5, len(f.Problems))])
	}
	for _, o := range []string{"sent", "control", "holdout", "excluded", "condition", "cooldown", "consent", "cap", "deferred", "expired", "cancelled", "converted"} {
		if f.Outcomes[o] == 0 && o != "expired" { // on this clock nothing is late
			t.Errorf("%q was not decided: the workload does not reach it", o)
		}
	}
	for name, spoil := range map[string]func(o []verify.Output) []verify.Output{
		"missing": func(o []verify.Output) []verify.Output { return slices.Delete(o, 100, 101) },
		"one byte differs": func(o []verify.Output) []verify.Output {
			o[100].Value = sinks.AppendDecision(nil, &rules.Decision{Outcome: rules.Capped}, sinks.Origin{})
			return o
		},
		"twice": func(o []verify.Output) []verify.Output { return append(o, o[100]) },
	} {
		t.Run(name, func(t *testing.T) {
			f := verify.EventClock(&topics, set, whole.inputs, spoil(slices.Clone(whole.outputs)), whole.dead)
			if f.Clean() {
				t.Error("nothing was noticed")
			}
		})
	}
}
