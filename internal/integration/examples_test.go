package integration

import (
	"strconv"
	"testing"

	"github.com/nudged/nudged/internal/exampleset"
)

// examplePartitions is of the input topics that hold the examples' events.
const examplePartitions = 2

// All examples at once, one set for each policy, over the events of their rule
// tests: the daemon decides what the simulation of the same topic decides, id for
// id.
func TestAllExamplesLive(t *testing.T) {
	t.Parallel()
	services(t)
	folders, err := exampleset.Folders("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	sets, err := exampleset.Merge(folders)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sets {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			rules := writeFile(t, "rules.yaml", string(s.Text))
			stream, err := s.Stream(examplePartitions)
			if err != nil {
				t.Fatal(err)
			}
			events := writeFile(t, "events.jsonl", string(stream))
			want := fromLines(t, outputOf(t, program, "backtest", "--rules", rules, "--input", events,
				"--partitions", strconv.Itoa(examplePartitions), "--decisions", "-"))
			t.Logf("%d examples: %s", len(s.Folders), want.byRule())

			// The examples go on beyond today: what is ahead of the records' time
			// must not be pulled back.
			w := newWorld(t, examplePartitions, nil)
			outputOf(t, program, "produce", "--brokers", w.brokers, "--topic", w.events, events)
			start(t, "--config", w.config(rules, "event", "max_ahead: 0s"), "--stop-at-end").requireExit(0)
			w.requireOutcomes(want)
		})
	}
}
