package verify

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/nudged/nudged/internal/chaos/workload"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/sim"
	"github.com/nudged/nudged/sinks"
)

// EventClock compares what is visible with what the simulation decides over the
// same records: the same bytes, each once, in every partition.
func EventClock(t *Topics, set *rules.Set, inputs []Input, outputs []Output, dead []DeadLetter) *Findings {
	f := &Findings{}
	parts := read(t, inputs, outputs, f)
	checkDead(parts, dead, f)
	type text struct {
		send  bool
		value string
	}
	want := make([]map[text]int, t.EventParts)
	for p := range want {
		want[p] = map[text]int{}
	}
	origin := sinks.Origin{Topic: t.Events, RulesVersion: set.Version}
	s := sim.New(set, int(t.EventParts), false, func(p int32, d *rules.Decision) {
		if d.Outcome == rules.Sent {
			f.Owed++
			want[p][text{true, string(sinks.AppendCommand(nil, d, origin))}]++
		}
		if !d.Verbose {
			want[p][text{false, string(sinks.AppendDecision(nil, d, origin))}]++
		}
	})
	for p := range parts {
		for _, in := range parts[p].inputs {
			if in.bad {
				continue
			}
			ev := EventOf(set, &in.event)
			ev.Partition, ev.Offset = in.Partition, in.Offset
			s.ApplyAt(ev)
		}
	}
	for p := range parts {
		records := checkChain(t, int32(p), parts[p].records, f)
		checkCommands(records, f)
		for _, r := range records {
			k := text{r.Send, string(r.Value)}
			if want[p][k] == 0 {
				f.Extra++
				f.problem("%s: the simulation decides no such thing: %s", r.place(), r.Value)
				continue
			}
			want[p][k]--
		}
		var missing []string
		for k, n := range want[p] {
			for range n {
				f.Lost++
				missing = append(missing, fmt.Sprintf("input %d: not in %s: %s", p, topicOf(k.send), k.value))
			}
		}
		slices.Sort(missing)
		f.Problems = append(f.Problems, missing...)
	}
	return f
}

// EventOf is the event as the rules see it.
func EventOf(set *rules.Set, e *workload.Event) *rules.Event {
	ev := &rules.Event{ID: e.ID, Type: e.Type, User: e.User, Time: e.Time, Fields: make([]rules.Value, len(set.Fields))}
	for slot, name := range set.Fields {
		switch v := e.Fields[name].(type) {
		case string:
			ev.Fields[slot] = rules.StringValue(v)
		case bool:
			ev.Fields[slot] = rules.BoolValue(v)
		case json.Number:
			if i, err := v.Int64(); err == nil {
				ev.Fields[slot] = rules.IntValue(i)
			} else if f, err := v.Float64(); err == nil {
				ev.Fields[slot] = rules.FloatValue(f)
			}
		}
	}
	return ev
}
