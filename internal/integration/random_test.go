package integration

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules/sim/naive"
	"github.com/nudged/nudged/rules/sim/naive/draw"
)

// randomSets is how many random rule sets go through the daemon.
const randomSets = 8

// story is what is compared of a decision.
func story(user, outcome, command, rule, instance, experiment, arm string, due, fired string) string {
	return fmt.Sprintf("%s %s %s %s/%s %s/%s due %s fired %s", user, fired, outcome, rule, instance, experiment, arm, due, command)
}

// Random rule sets with every key against random events: the daemon decides, on a
// real Kafka and a real Redis, what the naive interpreter of the rule language
// decides, which shares no code with it.
func TestRandomRulesLive(t *testing.T) {
	t.Parallel()
	services(t)
	type run struct {
		rules  draw.Drawn
		events []naive.Event
	}
	runs := rapid.Custom(func(t *rapid.T) run {
		d := draw.Rules(t)
		return run{d, draw.Events(t, d.Start, 60)}
	})
	seed := int(time.Now().UnixNano() % 1_000_000)
	decided := 0
	t.Run("sets", func(t *testing.T) {
		for n := range randomSets {
			r := runs.Example(seed + n)
			oracle := naive.New(r.rules.Spec, naive.Options{Partitions: examplePartitions})
			var stream bytes.Buffer
			for _, e := range r.events {
				oracle.Apply(e)
				stream.Write(e.JSON())
				stream.WriteByte('\n')
			}
			want := []string{}
			instant := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano) }
			for _, d := range oracle.Decisions {
				want = append(want, story(d.User, d.Outcome, d.CommandID, d.Rule, d.Instance, d.Experiment, d.Arm, instant(d.Due), instant(d.At)))
			}
			decided += len(want)
			t.Run(fmt.Sprint("seed ", seed+n), func(t *testing.T) {
				t.Parallel()
				rules, events := writeFile(t, "rules.yaml", r.rules.Text()), writeFile(t, "events.jsonl", stream.String())
				w := newWorld(t, examplePartitions, nil)
				outputOf(t, program, "produce", "--brokers", w.brokers, "--topic", w.events, events)
				start(t, "--config", w.config(rules, "event", "max_ahead: 0s"), "--stop-at-end").requireExit(0)
				got := []string{}
				for _, rec := range w.committed(w.decisions) {
					o, err := parse(rec.Value)
					if err != nil {
						t.Fatal(err)
					}
					due, fired := parseTime(t, o.due), parseTime(t, o.fired)
					got = append(got, story(o.user, o.decision, o.commandID, o.rule, o.instance, o.experiment, o.arm, due, fired))
				}
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("the daemon decides\n%s\nwant\n%s\nwith\n%s", lines(got), lines(want), r.rules.Text())
				}
			})
		}
	})
	if decided == 0 {
		t.Error("nothing is decided in any of the runs")
	}
}

func lines(list []string) string {
	var b bytes.Buffer
	for _, l := range list {
		b.WriteString(l + "\n")
	}
	return b.String()
}

// parseTime writes a time in one form.
func parseTime(t *testing.T, text string) string {
	t.Helper()
	return instant(t, text).UTC().Format(time.RFC3339Nano)
}
