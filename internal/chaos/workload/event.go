// Package workload makes the events of a run, from a seed, and holds its rules.
package workload

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// The rule files of the runs, by clock.
var (
	//go:embed rules/wall.yaml
	WallRules []byte
	//go:embed rules/event.yaml
	EventRules []byte
)

// Event is one record of the input topic, as it is read back.
type Event struct {
	ID, Type, User string
	Time           int64 // ms
	Fields         map[string]any
}

// JSON writes the event as a record's value.
func (e *Event) JSON() []byte {
	all := map[string]any{"id": e.ID, "type": e.Type, "user": e.User, "time": timeText(e.Time)}
	maps.Copy(all, e.Fields)
	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // texts, numbers and bools have a JSON
	}
	return text
}

func timeText(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

// Parse reads what JSON wrote. What it refuses is a dead letter.
func Parse(value []byte) (Event, error) {
	var all map[string]any
	numbers := json.NewDecoder(bytes.NewReader(value))
	numbers.UseNumber() // 1 and 1.0 are not the same to all who read them
	if err := numbers.Decode(&all); err != nil {
		return Event{}, fmt.Errorf("no event: %w", err)
	}
	e := Event{Fields: all}
	for key, to := range map[string]*string{"id": &e.ID, "type": &e.Type, "user": &e.User} {
		text, ok := all[key].(string)
		if !ok {
			return Event{}, fmt.Errorf("no event: %s is missing", key)
		}
		*to = text
		delete(all, key)
	}
	text, _ := all["time"].(string)
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return Event{}, fmt.Errorf("no event: %w", err)
	}
	e.Time = at.UnixMilli()
	delete(all, "time")
	return e, nil
}

// Text returns a field that is a text, "" if it is not there.
func (e *Event) Text(field string) string {
	s, _ := e.Fields[field].(string)
	return s
}

// Number returns a field that is a number.
func (e *Event) Number(field string) (float64, bool) {
	n, ok := e.Fields[field].(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	return f, err == nil
}
