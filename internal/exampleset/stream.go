package exampleset

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/nudged/nudged/internal/ruletest"
	"github.com/nudged/nudged/rules/eventtime"
	"github.com/nudged/nudged/rules/sim"
)

// rest is how long the stream's clocks run on after the last event, ms: 7
// days, so that what is pending comes to its end.
const rest = 7 * 86_400_000

// Stream returns the events of all rule tests of the set's examples as JSONL, in
// the order in which a topic would have them: by time, but an event that a test
// has come late comes late. Every test has users and event ids of its own. At the
// end each of so many partitions gets an event of a user who does nothing else,
// and the clock of every partition runs on with it.
func (s *Set) Stream(partitions int) ([]byte, error) {
	type line struct {
		at    int64 // when it comes
		value []byte
	}
	var lines []line
	for _, f := range s.Folders {
		for _, path := range f.Tests {
			file, err := ruletest.Load(path)
			if err != nil {
				return nil, err
			}
			for i, t := range file.Tests {
				own := f.Name + "/" + strconv.Itoa(i+1) + "/"
				at := int64(0)
				for ms, value := range t.Events() {
					at = max(at, ms)
					renamed, err := rename(value, own)
					if err != nil {
						return nil, fmt.Errorf("%s: %s: %w", path, t.Name, err)
					}
					lines = append(lines, line{at, renamed})
				}
			}
		}
	}
	if len(lines) == 0 {
		return nil, errors.New("the examples have no events")
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	var out bytes.Buffer
	for _, l := range lines {
		out.Write(l.value)
		out.WriteByte('\n')
	}
	last, err := lastEvents(lines[0].value, lines[len(lines)-1].at+rest, partitions)
	if err != nil {
		return nil, err
	}
	out.Write(last)
	return out.Bytes(), nil
}

// rename puts own before an event's id and user.
func rename(value []byte, own string) ([]byte, error) {
	var event map[string]json.RawMessage
	if err := json.Unmarshal(value, &event); err != nil {
		return nil, err
	}
	for _, key := range []string{"id", "user"} {
		var name string
		if err := json.Unmarshal(event[key], &name); err != nil {
			return nil, err
		}
		b, err := json.Marshal(own + name)
		if err != nil {
			return nil, err
		}
		event[key] = b
	}
	return json.Marshal(event)
}

// lastEvents are one of each partition, of the type of the event like.
func lastEvents(like []byte, ms int64, partitions int) ([]byte, error) {
	var event struct{ Type string }
	if err := json.Unmarshal(like, &event); err != nil {
		return nil, err
	}
	layout := sim.New(nil, partitions, false, nil)
	done := make([]bool, partitions)
	var out bytes.Buffer
	for n, left := 0, partitions; left > 0; n++ {
		user := "clock/" + strconv.Itoa(n)
		p := layout.PartitionOf(user)
		if done[p] {
			continue
		}
		done[p] = true
		left--
		fmt.Fprintf(&out, `{"id":%q,"type":%q,"user":%q,"time":%q}`+"\n", user, event.Type, user, eventtime.AppendRFC3339(nil, ms))
	}
	return out.Bytes(), nil
}
