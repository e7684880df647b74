package main

import (
	"fmt"
	"testing"
	"time"
)

func command(rule, user, trigger string, due, fired time.Time) []byte {
	const form = `{"rule":%q,"user":%q,"trigger":{"id":%q},"due":%q,"fired":%q}`
	return fmt.Appendf(nil, form, rule, user, trigger, due.UTC().Format(time.RFC3339Nano), fired.UTC().Format(time.RFC3339Nano))
}

func TestPromises(t *testing.T) {
	due := time.UnixMilli(1_700_000_000_123)
	right := command("soon", "u1", "s1", due, due.Add(50*time.Millisecond))
	for name, c := range map[string]struct {
		sends          [][]byte
		missing, wrong int
	}{
		"kept":         {[][]byte{right}, 0, 0},
		"missing":      {nil, 1, 0},
		"twice":        {[][]byte{right, right}, 0, 1},
		"another rule": {[][]byte{command("later", "u1", "s1", due, due)}, 1, 1},
		"another user": {[][]byte{command("soon", "u2", "s1", due, due)}, 1, 1},
		"another time": {[][]byte{command("soon", "u1", "s1", due.Add(time.Millisecond), due)}, 1, 1},
		"not owed":     {[][]byte{right, command("parked", "u1", "p1", due, due)}, 0, 1},
		"not readable": {[][]byte{right, []byte("{")}, 0, 1},
	} {
		p := newPromises()
		p.owe("s1", promise{rule: "soon", user: "u1", due: due.UnixMilli(), phase: steady})
		for _, s := range c.sends {
			p.take(s, due.Add(80*time.Millisecond))
		}
		v := p.verdict()
		if v.Missing != c.missing || v.Wrong != c.wrong || p.missing(steady) != c.missing || v.ok() != (c.missing+c.wrong == 0) {
			t.Errorf("%s: %+v, %d missing of the phase", name, v, p.missing(steady))
		}
		if c.missing > 0 {
			continue
		}
		fired, visible := p.lateness(steady)
		if fired.Count != 1 || fired.P50 < 49.9 || fired.P50 > 50.1 || visible.P50 < 79.9 || visible.P50 > 80.1 {
			t.Errorf("%s: fired %v late, visible %v", name, fired, visible)
		}
		if last := p.last(steady); !last.Equal(due.Add(80 * time.Millisecond)) {
			t.Errorf("%s: the last was visible at %v", name, last)
		}
		if none, _ := p.lateness(burst); none.Count != 0 {
			t.Errorf("%s: %v of another phase", name, none)
		}
	}
}
