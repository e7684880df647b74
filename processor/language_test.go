package processor_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nudged/nudged/internal/decode"
	"github.com/nudged/nudged/internal/input"
	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/rulefile"
	"github.com/nudged/nudged/rules/sim/naive"
	"github.com/nudged/nudged/rules/sim/naive/draw"
	"github.com/nudged/nudged/sinks"
)

// language is what is drawn for a scenario with the whole rule language.
type language struct {
	rules  draw.Drawn
	events []naive.Event
}

var drawnLanguage = rapid.Custom(func(t *rapid.T) language {
	d := draw.Rules(t)
	return language{d, draw.Events(t, d.Start, 80)}
})

// languageScenario draws rules with every key, and events for them, and has the
// naive interpreter decide too. On the wall clock that is left to the caller.
func languageScenario(d dice, level processor.DecisionLevel, partitions int, wall bool) *scenario {
	drawn := drawnLanguage.Example(d(1 << 30))
	options := naive.Options{Partitions: partitions, Verbose: level == processor.DecisionsAll, Wall: wall, NoHoldout: d.chance(20), Pinned: map[string]string{}}
	set, err := compiled(drawn.rules, &options, d)
	if err != nil {
		panic(err)
	}
	sc := newScenario(set, level, partitions)
	sc.text, sc.sweeps = drawn.rules.String(), len(set.Scheduled()) > 0
	sc.maxEvent = 1 << 10
	sc.decoder = func() processor.Decoder { return decode.New(set, input.Mapping{}) }
	sc.naive, sc.drawn = naive.New(drawn.rules.Spec, options), drawn.events
	for _, e := range drawn.events {
		if !wall {
			sc.naive.Apply(e)
		}
		p := sc.oracle.PartitionOf(e.User)
		rec := processor.Record{Offset: int64(len(sc.input[p])), Timestamp: e.Time, Key: []byte(e.User), Value: e.JSON()}
		ev := &rules.Event{}
		if err := sc.decoder().Decode(ev, slices.Clone(rec.Value)); err != nil {
			panic(err)
		}
		sc.append(rec, ev)
	}
	return sc
}

// compiled compiles a drawn rule set, pins arms by the dice and notes what it did
// for the naive interpreter.
func compiled(of draw.Drawn, options *naive.Options, d dice) (*rules.Set, error) {
	set, err := rulefile.Parse([]rulefile.File{{Name: "drawn.yaml", Text: []byte(of.Text())}})
	if err != nil {
		return nil, fmt.Errorf("%w\nin\n%s", err, of)
	}
	if options.NoHoldout {
		set.Holdout = nil
	}
	for _, x := range set.Experiments {
		x.Pinned = pick(d, "", "", rules.Control, "one")
		options.Pinned[x.Name] = x.Pinned
	}
	return set, nil
}

// fact is what the naive interpreter says of a decision, and what a consumer
// reads of it.
type fact struct {
	User, Outcome, CommandID, Rule, Instance string
	Step                                     int
	Experiment, Arm                          string
	Phase                                    int
	Send, Label                              string
	Data                                     map[string]any
	Trigger, Due, At, Expires                string
	Worth                                    any
	Again                                    bool
}

// instant writes a time as messages have it.
func instant(ms int64) string {
	if ms == 0 {
		return ""
	}
	return clockText(ms)
}

// plain is a value as a reader of JSON sees it.
func plain(v naive.Value) any {
	switch v.Kind {
	case naive.Bool:
		return v.N == 1
	case naive.Int:
		return float64(v.N)
	case naive.Float:
		return v.F
	case naive.Text:
		return v.S
	case naive.Time:
		return instant(v.N)
	}
	return nil
}

func factOfNaive(d *naive.Decision) fact {
	f := fact{
		User: d.User, Outcome: d.Outcome, CommandID: d.CommandID, Rule: d.Rule, Instance: d.Instance, Step: d.Step,
		Experiment: d.Experiment, Arm: d.Arm, Label: d.Label, Due: instant(d.Due), At: instant(d.At), Expires: instant(d.Expires),
		Trigger: fmt.Sprintf("%s %s %d/%d", d.Trigger.ID, instant(d.Trigger.Time), d.Trigger.Partition, d.Trigger.Offset),
		Worth:   plain(d.Worth), Again: d.Again,
	}
	if d.Phase > 1 {
		f.Phase = d.Phase
	}
	if d.Send != nil {
		f.Send = d.Send.Channel + "/" + d.Send.Class + "/" + d.Send.Template
	}
	for _, v := range d.Data {
		if f.Data == nil {
			f.Data = map[string]any{}
		}
		f.Data[v.Name] = plain(v.Value)
	}
	return f
}

func factOfMessage(m message) (fact, error) {
	var v sinks.Message
	if err := json.Unmarshal([]byte(m.value), &v); err != nil {
		return fact{}, fmt.Errorf("%s: %w", m, err)
	}
	f := fact{
		User: v.User, Outcome: v.Decision, CommandID: v.CommandID, Rule: v.Rule, Instance: v.Instance, Step: v.Step,
		Experiment: v.Experiment, Arm: v.Arm, Phase: v.Phase, Label: v.Label, Due: v.Due, At: v.Fired, Expires: v.Expires,
		Trigger: fmt.Sprintf("%s %s %d/%d", v.Trigger.ID, v.Trigger.Time, v.Trigger.Partition, v.Trigger.Offset), Again: v.Again,
	}
	if v.Channel != "" && f.Outcome != "cancelled" && f.Outcome != "armed" { // of those it is the message that did not come
		f.Send = v.Channel + "/" + v.Class + "/" + v.Template
	}
	for name, raw := range v.Data {
		if f.Data == nil {
			f.Data = map[string]any{}
		}
		var of any
		if err := json.Unmarshal(raw, &of); err != nil {
			return fact{}, fmt.Errorf("%s: %w", m, err)
		}
		f.Data[name] = of
	}
	if v.Value != nil {
		if err := json.Unmarshal(v.Value, &f.Worth); err != nil {
			return fact{}, fmt.Errorf("%s: %w", m, err)
		}
	}
	return f, nil
}

// compareNaive holds the decisions that are visible of a partition against what
// the naive interpreter decided: of each user the same, in the same order. Where
// only sends are visible those are compared, without their order.
func (sc *scenario) compareNaive(p int, visible []message) error {
	topic, want := "decisions", map[string][]fact{}
	if sc.level == processor.DecisionsNone {
		topic = "sends"
	}
	for i := range sc.naive.Decisions {
		d := &sc.naive.Decisions[i]
		if int(sc.oracle.PartitionOf(d.User)) != p || topic == "sends" && d.Outcome != "sent" {
			continue
		}
		f := factOfNaive(d)
		if topic == "sends" {
			f.Outcome = ""
		}
		want[d.User] = append(want[d.User], f)
	}
	got := map[string][]fact{}
	for _, m := range visible {
		if m.topic != topic {
			continue
		}
		f, err := factOfMessage(m)
		if err != nil {
			return err
		}
		got[f.User] = append(got[f.User], f)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("decisions (-naive +visible):\n%s\nunder\n%s", diff, sc.text)
	}
	return nil
}

// tally counts what the naive interpreter decided in scenarios.
type tally map[string]int

func (c tally) add(sc *scenario) {
	for _, d := range sc.naive.Decisions {
		c[d.Outcome]++
	}
}

// want fails unless each outcome has come up that the event clock knows, where
// nothing is late, and the others given. The rules stay as they are.
func (c tally) want(t *testing.T, others ...string) {
	t.Helper()
	t.Log(map[string]int(c))
	for _, o := range append(others, "sent", "control", "excluded", "condition", "cooldown", "cancelled", "armed", "consent", "quiet_hours", "deferred", "cap", "holdout", "converted") {
		if c[o] == 0 {
			t.Errorf("no run led to %s: %s", o, strings.Join(slices.Sorted(maps.Keys(c)), " "))
		}
	}
}

// Rules with every key of the language against any events: what comes out of a
// partition is what the simulation decides, byte for byte, and what the naive
// interpreter decides, which shares no code with it. Batches are closed anywhere,
// other processes take the partition over, and states fall out of the cache and
// are read from the store again.
func TestPartitionDecidesAsTheLanguageSays(t *testing.T) {
	outcomes, evicted := tally{}, 0
	seeds(t, 300, func(t failer, seed uint64) {
		d := dice(rand.New(rand.NewPCG(seed, 3)).IntN)
		sc := languageScenario(d, pick(d, processor.DecisionsFires, processor.DecisionsAll), 1+d(2), false)
		s := newStand(t, sc, func(c *processor.Config) { c.BatchUsers = pick(d, 1, 3, 1000) })
		s.cacheSegment = pick(d, 0, 64, 1000)
		for p := range sc.input {
			evicted += s.run(d, inputPartition(int32(p)))
		}
		checkOutcome(t, sc, s.log, s.store)
		outcomes.add(sc)
	})
	if *crashSeed != 0 || testing.Short() {
		return
	}
	if evicted == 0 {
		t.Error("no state has fallen out of the cache")
	}
	outcomes.want(t)
}

// The same on the wall clock: what is due fires when somebody looks, which may be
// late, and of a schedule the latest occurrence is started.
func TestWallClockDecidesAsTheLanguageSays(t *testing.T) {
	outcomes := tally{}
	seeds(t, 300, func(t failer, seed uint64) {
		d := dice(rand.New(rand.NewPCG(seed, 5)).IntN)
		sc := languageScenario(d, pick(d, processor.DecisionsFires, processor.DecisionsAll), 1, true)
		s := newStand(t, sc, func(c *processor.Config) {
			onWallClock(c)
			c.BatchUsers = pick(d, 1, 3, 1000)
		})
		s.cacheSegment = pick(d, 0, 64, 1000)
		tp, now := inputPartition(0), sc.drawn[0].Time
		part := s.claim(tp)
		pass := func(to int64) {
			for s.moveClock(part, to, 1+d(5)) {
			}
			sc.naive.Pass(0, now, to)
			now = to
		}
		pass(now)
		for i, e := range sc.drawn {
			switch d(5) {
			case 0, 1:
				pass(max(now, e.Time) + pick(d, 0, 1, 30*mins, 4*hour, day))
			case 2:
				if i == 0 {
					break // nothing is written yet: who claims it has not seen the clock
				}
				s.flush(part)
				checkHints(t, sc.set, s.store, tp, sc.users[0], part)
				part = s.claim(tp)
			case 3:
				s.closeAndPublish(part)
			}
			s.consume(part, sc.input[0][i:i+1])
			sc.naive.Apply(e)
			sc.naive.ClockOf(0, now, now) // what a late event has armed may be due
		}
		pass(now + pick(d, 0, 4*hour, 3*day))
		s.closeAndPublish(part)
		_, got := s.log.records(tp)
		if err := sc.compareNaive(0, got); err != nil {
			t.Fatalf("%v", err)
		}
		outcomes.add(sc)
	})
	if *crashSeed == 0 && !testing.Short() {
		outcomes.want(t, "expired")
	}
}

// The same, while processes die, hang and lose their partitions at every step of
// the protocol, and Redis falls back or is emptied, so that what was decided is
// told to the rules again from the topics.
func TestCrashesKeepToTheLanguage(t *testing.T) {
	outcomes, total := tally{}, worldCounts{}
	seeds(t, 300, func(t failer, seed uint64) {
		w := newWorld(t, seed, worldKind{losses: true, language: true}, mistakes{})
		w.run()
		w.check()
		outcomes.add(w.sc)
		total.add(w.counts)
	})
	t.Logf("%+v", total)
	if *crashSeed != 0 || testing.Short() {
		return
	}
	outcomes.want(t)
	if total.crashes == 0 || total.rollbacks == 0 || total.lost == 0 || total.replays == 0 || total.records == 0 {
		t.Errorf("the simulation does not go through everything: %+v", total)
	}
}
