package sim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/sim"
	"github.com/nudged/nudged/rules/sim/naive"
	"github.com/nudged/nudged/rules/sim/naive/draw"
)

// thoroughly checks a property on more runs than rapid's default, which are few
// for so many kinds of rules: the rare ones need a late event at the right place.
func thoroughly(t *testing.T, property func(t *rapid.T)) {
	for range 8 {
		rapid.Check(t, property)
	}
}

// kafkaPartition asks the Kafka client's default partitioner.
func kafkaPartition(user string, n int) int {
	return kgo.StickyKeyPartitioner(nil).ForTopic("t").Partition(&kgo.Record{Key: []byte(user)}, n)
}

// options draws how a run goes: now and then arms are pinned, or nobody is held
// out.
func options(t *rapid.T, d draw.Drawn) naive.Options {
	o := naive.Options{
		Partitions: rapid.IntRange(1, 3).Draw(t, "partitions"),
		Verbose:    rapid.Bool().Draw(t, "verbose"),
		NoHoldout:  rapid.IntRange(0, 3).Draw(t, "holdout") == 3,
		Pinned:     map[string]string{},
	}
	for _, x := range d.Experiments {
		if arm := rapid.SampledFrom([]string{"", "", "control", "one"}).Draw(t, "pinned"); arm != "" {
			o.Pinned[x.Name] = arm
		}
	}
	return o
}

// drawn compiles a drawn rule set.
func drawn(t *rapid.T, d draw.Drawn, o naive.Options) *rules.Set {
	set, err := compile(d.Text())
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, d)
	}
	return prepare(set, o)
}

// byUser writes decisions, sorted by partition and user, keeping their order.
func byUser(decisions []naive.Decision) []string {
	decisions = slices.Clone(decisions)
	slices.SortStableFunc(decisions, func(a, b naive.Decision) int { return strings.Compare(a.User, b.User) })
	return lines(decisions)
}

func lines(decisions []naive.Decision) []string {
	list := []string{}
	for i := range decisions {
		d := decisions[i]
		if d.Outcome == "cancelled" || d.Outcome == "armed" {
			d.Send = nil // the message that did not come
		}
		list = append(list, d.String())
	}
	return list
}

// tally counts what the runs of a property have come to.
type tally map[string]int

func (c tally) add(decisions []naive.Decision) {
	for i := range decisions {
		c[decisions[i].Outcome]++
	}
}

func (c tally) want(t *testing.T, outcomes ...string) {
	for _, o := range outcomes {
		if c[o] == 0 {
			t.Errorf("no run led to %s: %v", o, c)
		}
	}
}

// On any stream and any rules the simulation decides what the naive interpreter
// decides: of each user the same decisions, in the same order.
func TestSimulationAgainstNaive(t *testing.T) {
	outcomes := tally{}
	thoroughly(t, func(t *rapid.T) {
		d := draw.Rules(t)
		o := options(t, d)
		set := drawn(t, d, o)
		engine, oracle := simulate(set, o.Partitions, o.Verbose), naive.New(d.Spec, o)
		events := draw.Events(t, d.Start, 40)
		for _, e := range events {
			engine.Apply(e)
			oracle.Apply(e)
		}
		if rapid.Bool().Draw(t, "advance") {
			end := d.Start + rapid.Int64Range(0, 400).Draw(t, "to")*1_800_000
			engine.Advance(end)
			oracle.Advance(end)
		}
		if diff := cmp.Diff(byUser(oracle.Decisions), byUser(engine.decided)); diff != "" {
			t.Fatalf("decisions (-naive +engine):\n%s\nof\n%s\nunder\n%s", diff, story(events), d)
		}
		if c := engine.Counts(); c.Unread != oracle.Unread || c.Duplicates != oracle.Duplicates || c.Mismatches < oracle.Mismatches {
			t.Fatalf("counts %+v, naive has %d unread, %d duplicates, %d mismatches", c, oracle.Unread, oracle.Duplicates, oracle.Mismatches)
		}
		if engine.Pending() != oracle.Pending() {
			t.Fatalf("%d pending, naive has %d; of\n%s\nunder\n%s", engine.Pending(), oracle.Pending(), story(events), d)
		}
		due, ok := engine.NextDue()
		if wantDue, want := oracle.NextDue(); due != wantDue || ok != want {
			t.Fatalf("next due %d %t, naive has %d %t; of\n%s\nunder\n%s", due, ok, wantDue, want, story(events), d)
		}
		outcomes.add(oracle.Decisions)
	})
	t.Log(outcomes)
	outcomes.want(t, "sent", "control", "excluded", "condition", "cooldown", "cancelled", "armed", "consent", "quiet_hours", "deferred", "cap", "holdout", "converted", "guardrail")
}

// story writes events for whoever has to find out what went wrong.
func story(events []naive.Event) string {
	var b strings.Builder
	for _, e := range events {
		var fields []string
		for name, v := range e.Fields {
			fields = append(fields, name+": "+v.String())
		}
		slices.Sort(fields)
		fmt.Fprintf(&b, "  - {at: %s, type: %s, user: %s, id: %s, %s}\n", naive.T(e.Time), e.Type, e.User, e.ID, strings.Join(fields, ", "))
	}
	return b.String()
}

// The same on the wall clock, which the simulation does not have: events do not
// move it, what is due fires when it gets there, which may be late, and the rules
// are edited meanwhile. Whether a state is stored in between makes no difference.
func TestWallClockAgainstNaive(t *testing.T) {
	outcomes := tally{}
	thoroughly(t, func(t *rapid.T) {
		d := draw.Rules(t)
		o := options(t, d)
		o.Wall, o.Partitions = true, 1
		engine, oracle := newSteps(drawn(t, d, o), true, o.Verbose), naive.New(d.Spec, o)
		engine.stored = rapid.Bool().Draw(t, "stored")
		edited := d
		var did []string
		events := draw.Events(t, d.Start, 40)
		for _, e := range events {
			switch rapid.IntRange(0, 9).Draw(t, "instead") {
			case 9, 8, 7:
				late := rapid.SampledFrom([]int64{0, 0, 1_800_000, 7_200_000}).Draw(t, "late")
				engine.Clock(e.Time, e.Time+late)
				oracle.Clock(e.Time, e.Time+late)
				did = append(did, fmt.Sprintf("  - clock at %s reads %s", naive.T(e.Time), naive.T(e.Time+late)))
			case 6:
				for _, r := range d.Rules {
					if r.Schedule != nil {
						engine.Sweep(e.User, r.Name, e.Time, e.Time)
						oracle.Sweep(e.User, r.Name, e.Time, e.Time)
						did = append(did, fmt.Sprintf("  - sweep %s for %s at %s", r.Name, e.User, naive.T(e.Time)))
					}
				}
			case 5:
				edited = draw.Edit(t, edited)
				engine.set = drawn(t, edited, o).WithNames(engine.set.Names())
				oracle.Edit(edited.Spec)
				did = append(did, "  - edit:\n"+edited.String())
			default:
				engine.Apply(e)
				oracle.Apply(e)
				did = append(did, strings.TrimSuffix(story([]naive.Event{e}), "\n"))
			}
		}
		if diff := cmp.Diff(byUser(oracle.Decisions), byUser(engine.decided)); diff != "" {
			t.Fatalf("decisions (-naive +engine):\n%s\nof\n%s\nunder\n%s", diff, strings.Join(did, "\n"), d)
		}
		if engine.unread != oracle.Unread || engine.duplicates != oracle.Duplicates {
			t.Fatalf("%d unread, %d duplicates, naive has %d, %d", engine.unread, engine.duplicates, oracle.Unread, oracle.Duplicates)
		}
		outcomes.add(oracle.Decisions)
	})
	t.Log(outcomes)
	outcomes.want(t, "sent", "control", "excluded", "condition", "cooldown", "expired", "cancelled", "rule_removed", "armed", "consent", "quiet_hours", "deferred", "cap", "holdout", "converted", "guardrail")
}

// Dropping the states that nothing can need any more changes nothing, as long as
// no event is later, and no id repeated later, than they are kept for.
func TestForgettingAgainstNaive(t *testing.T) {
	forgot := 0
	outcomes := tally{}
	thoroughly(t, func(t *rapid.T) {
		d := draw.Rules(t)
		o := options(t, d)
		o.Wall, o.Partitions = true, 1
		engine, oracle := newSteps(drawn(t, d, o), true, o.Verbose), naive.New(d.Spec, o)
		engine.forget, engine.stored = true, true
		events := draw.Events(t, d.Start, 25)
		seen, away := map[string]int64{}, int64(0)
		for i, e := range events {
			// Users stay away for days at a time.
			away += rapid.SampledFrom([]int64{0, 0, 0, 4, 9, 40}).Draw(t, "away") * 24 * 3_600_000
			e.Time += away
			if last, ok := seen[e.ID]; ok && e.Time-last > 5*24*3_600_000 {
				e.ID = fmt.Sprint("again", i)
			}
			seen[e.ID] = e.Time
			engine.Clock(e.Time, e.Time)
			oracle.Clock(e.Time, e.Time)
			engine.Apply(e)
			oracle.Apply(e)
			events[i] = e
		}
		if diff := cmp.Diff(byUser(oracle.Decisions), byUser(engine.decided)); diff != "" {
			t.Fatalf("decisions (-naive +engine):\n%s\nof\n%s\nunder\n%s", diff, story(events), d)
		}
		forgot += engine.forgot
		outcomes.add(oracle.Decisions)
	})
	t.Log(forgot, outcomes)
	if forgot == 0 {
		t.Error("no state was dropped")
	}
}

// A user's decisions depend on that user's events and on the clock alone: not on
// how the users' events are mixed and not on partitions.
func TestUsersAreApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw.Rules(t)
		o := options(t, d)
		set := drawn(t, d, o)
		events := draw.Events(t, d.Start, 40)
		// Late events are late against the clock, which others move: only here in order.
		slices.SortStableFunc(events, func(a, b naive.Event) int { return int(a.Time - b.Time) })
		// All clocks end at the same time.
		end := events[len(events)-1].Time + rapid.Int64Range(0, 200).Draw(t, "to")*1_800_000
		run := func(partitions int, events []naive.Event) map[string][]string {
			s := simulate(set, partitions, o.Verbose)
			for _, e := range events {
				s.Apply(e)
			}
			s.Advance(end)
			decided := map[string][]string{}
			for _, x := range s.decided {
				x.Trigger.Partition, x.Trigger.Offset = 0, 0
				decided[x.User] = append(decided[x.User], x.String())
			}
			return decided
		}
		want := run(1, events)
		order := rapid.Permutation(draw.Users).Draw(t, "order")
		permuted := slices.Clone(events)
		slices.SortStableFunc(permuted, func(a, b naive.Event) int {
			if a.Time != b.Time {
				return int(a.Time - b.Time)
			}
			return slices.Index(order, a.User) - slices.Index(order, b.User)
		})
		if diff := cmp.Diff(want, run(1, permuted)); diff != "" {
			t.Fatalf("in another order (+):\n%s", diff)
		}
		if diff := cmp.Diff(want, run(3, events)); diff != "" {
			t.Fatalf("in three partitions (+):\n%s", diff)
		}
		alone := map[string][]string{}
		for _, u := range draw.Users {
			own := slices.DeleteFunc(slices.Clone(events), func(e naive.Event) bool { return e.User != u })
			for user, list := range run(1, own) {
				alone[user] = list
			}
		}
		if diff := cmp.Diff(want, alone); diff != "" {
			t.Fatalf("each user alone (+):\n%s", diff)
		}
	})
}

// The same input gives the same decisions, in the same order, among all users.
func TestSameInputSameDecisions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw.Rules(t)
		o := options(t, d)
		events := draw.Events(t, d.Start, 40)
		var runs [2][]string
		for i := range runs {
			s := simulate(drawn(t, d, o), o.Partitions, o.Verbose)
			for _, e := range events {
				s.Apply(e)
			}
			s.Advance(d.Start + 500*1_800_000)
			runs[i] = lines(s.decided)
		}
		if diff := cmp.Diff(runs[0], runs[1]); diff != "" {
			t.Fatalf("the second run (+) differs:\n%s", diff)
		}
	})
}

// The partitions of the naive interpreter are those of the simulation.
func TestNaivePartitions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		user, n := rapid.StringN(0, 40, 300).Draw(t, "user"), rapid.IntRange(1, 200).Draw(t, "partitions")
		if got, want := naive.PartitionOf(user, n), sim.New(&rules.Set{}, n, false, nil).PartitionOf(user); got != want {
			t.Fatalf("partition %d, the simulation says %d", got, want)
		}
	})
}
