package naive

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Script is a file of rule tests, as `nudged test` reads them. Beyond that a test
// may be played on the wall clock (clock: wall), and its events may be mixed with
//
//	{clock: 3d}              the wall clock reads 3d; what is due fires
//	{sweep: r, at: 3d, user: u1}  the scheduled rule r is started for the user
//	{rules: [other.yaml]}    an edit of the rules
type Script struct {
	Rules []string // paths relative to the script
	Tests []Test
}

// Test is one test of a script.
type Test struct {
	Name      string
	Wall      bool
	Arms      map[string]string
	NoHoldout bool
	Subset    bool
	Inputs    []Input
	Until     int64 // 0: until nothing is pending
	Expect    []map[string]string
}

// Input is one thing that happens in a test: an event, or one of the others.
type Input struct {
	Event *Event
	Clock int64
	Sweep string // a rule; Event has user and time
	Rules []string
}

// Player is what a test can be played on.
type Player interface {
	Apply(Event)
	Clock(until, reading int64)
	Sweep(user, rule string, occurrence, reading int64)
	Advance(t int64)
	NextDue() (int64, bool)
	Edit(rules []string) error
	Decided() []Decision
}

// ReadScript reads a script.
func ReadScript(text string) (*Script, error) {
	var file yaml.MapSlice
	if err := yaml.UnmarshalWithOptions([]byte(text), &file, yaml.UseOrderedMap()); err != nil {
		return nil, err
	}
	s, r := &Script{}, &reader{}
	r.keys("a script", file, map[string]func(any){
		"rules": r.texts(&s.Rules),
		"tests": func(v any) { r.list(v, func(v any) { s.Tests = append(s.Tests, r.test(v)) }) },
	})
	return s, r.err
}

func (r *reader) test(v any) Test {
	t := Test{Arms: map[string]string{}}
	start, clock, held := "2026-01-01T00:00:00Z", "", true
	m, _ := v.(yaml.MapSlice)
	for _, item := range m {
		if item.Key == "start" {
			start = fmt.Sprint(item.Value)
		}
	}
	at := func(to *int64) func(any) {
		return func(v any) { *to = r.time(start, fmt.Sprint(v)) }
	}
	r.keys("a test", v, map[string]func(any){
		"name": r.text(&t.Name), "start": func(any) {}, "clock": r.text(&clock), "holdout": r.yes(&held), "subset": r.yes(&t.Subset), "until": at(&t.Until),
		"arms": func(v any) { r.each("arms", v, func(x string, arm any) { t.Arms[x] = fmt.Sprint(arm) }) },
		"events": func(v any) {
			r.list(v, func(v any) { t.Inputs = append(t.Inputs, r.input(v, at, len(t.Inputs)+1)) })
		},
		"expect": func(v any) {
			r.list(v, func(v any) {
				want := map[string]string{}
				r.each("an expectation", v, func(key string, v any) {
					switch key {
					case "at", "due", "expires":
						want[key] = stamp(r.time(start, fmt.Sprint(v)))
					case "data":
						want[key] = r.data(v)
					default:
						want[key] = fmt.Sprint(v)
					}
				})
				t.Expect = append(t.Expect, want)
			})
		},
	})
	t.Wall, t.NoHoldout = clock == "wall", !held
	return t
}

// time is a duration after the start of the test, or RFC 3339.
func (r *reader) time(start, text string) int64 {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UnixMilli()
	}
	from, err := time.Parse(time.RFC3339, start)
	if err != nil {
		r.fail("%w", err)
	}
	ms, err := ParseSpan(text)
	if err != nil {
		r.fail("%w", err)
	}
	return from.UnixMilli() + ms
}

func (r *reader) input(v any, at func(*int64) func(any), n int) Input {
	in := Input{}
	e := &Event{ID: "e" + strconv.Itoa(n), Fields: map[string]Value{}}
	r.each("an event", v, func(key string, v any) {
		switch key {
		case "at":
			at(&e.Time)(v)
		case "type":
			e.Type = fmt.Sprint(v)
		case "user":
			e.User = fmt.Sprint(v)
		case "id":
			e.ID = fmt.Sprint(v)
		case "clock":
			at(&in.Clock)(v)
		case "sweep":
			in.Sweep = fmt.Sprint(v)
		case "rules":
			r.texts(&in.Rules)(v)
		default:
			e.Fields[key] = valueOf(v)
		}
	})
	if in.Clock == 0 && in.Rules == nil {
		in.Event = e
	}
	return in
}

func valueOf(v any) Value {
	switch v := v.(type) {
	case bool:
		return B(v)
	case float64:
		return F(v)
	case string:
		return S(v)
	case nil:
		return Value{}
	}
	n, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
	if err != nil {
		return Value{}
	}
	return I(n)
}

// data writes expected data as Decision.fields does.
func (r *reader) data(v any) string {
	var fields []Field
	r.each("data", v, func(name string, v any) { fields = append(fields, Field{name, valueOf(v)}) })
	return dataText(fields)
}

// dataText writes values by name; a time as its text, as JSON has it.
func dataText(fields []Field) string {
	var parts []string
	for _, f := range fields {
		v := f.Value
		if v.Kind == Time {
			v = S(stamp(v.N))
		}
		if n, ok := v.number(); ok {
			v = F(n)
		}
		parts = append(parts, f.Name+"="+v.String())
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// fields are what an expectation may name.
func (d *Decision) fields() map[string]string {
	f := map[string]string{
		"at": stamp(d.At), "due": stamp(d.Due), "user": d.User, "rule": d.Rule, "decision": d.Outcome, "instance": d.Instance,
		"step": strconv.Itoa(d.Step), "experiment": d.Experiment, "arm": d.Arm, "data": dataText(d.Data), "label": d.Label,
		"phase": strconv.Itoa(d.Phase), "again": strconv.FormatBool(d.Again), "command_id": d.CommandID, "trigger": d.Trigger.ID,
	}
	if d.Expires != 0 {
		f["expires"] = stamp(d.Expires)
	}
	if d.Send != nil {
		f["channel"], f["class"], f["template"] = d.Send.Channel, d.Send.Class, d.Send.Template
	}
	f["value"] = "none"
	if d.Worth.There() {
		f["value"], _ = d.Worth.Key()
	}
	return f
}

// Play plays the test and tells how the decisions differ from what is expected,
// nothing if they do not.
func (t *Test) Play(p Player) (differences []string) {
	for _, in := range t.Inputs {
		switch {
		case in.Rules != nil:
			if err := p.Edit(in.Rules); err != nil {
				return []string{err.Error()}
			}
		case in.Sweep != "":
			p.Sweep(in.Event.User, in.Sweep, in.Event.Time, in.Event.Time)
		case in.Event != nil:
			p.Apply(*in.Event)
		default:
			p.Clock(in.Clock, in.Clock)
		}
	}
	if !t.Wall {
		t.runOn(p)
	}
	// Rule tests do not speak of starts.
	decided := slices.DeleteFunc(slices.Clone(p.Decided()), func(d Decision) bool { return d.Outcome == "armed" })
	slices.SortStableFunc(decided, func(a, b Decision) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.User, b.User)) })
	return t.compare(decided)
}

// longest is how far the clock runs on by itself: 400 days.
const longest = 400 * 86_400_000

// runOn moves the clock to the end of the test.
func (t *Test) runOn(p Player) {
	if t.Until != 0 {
		p.Advance(t.Until)
		return
	}
	end := int64(0)
	for _, in := range t.Inputs {
		if in.Event != nil {
			end = max(end, in.Event.Time+longest)
		}
	}
	for last := int64(math.MinInt64); ; {
		due, ok := p.NextDue()
		if !ok || due <= last || due > end {
			return // what stays due at the same time does not fire
		}
		p.Advance(due)
		last = due
	}
}

func (t *Test) compare(decided []Decision) (differences []string) {
	wrong := func(format string, args ...any) { differences = append(differences, fmt.Sprintf(format, args...)) }
	next := 0
	for i, want := range t.Expect {
		for t.Subset && next < len(decided) && differs(want, &decided[next]) != "" {
			next++
		}
		if next >= len(decided) {
			wrong("number %d is missing: %v", i+1, want)
			continue
		}
		if diff := differs(want, &decided[next]); diff != "" {
			wrong("number %d: %s; decided was %s", i+1, diff, &decided[next])
		}
		next++
	}
	for ; !t.Subset && next < len(decided); next++ {
		wrong("not expected: %s", &decided[next])
	}
	return differences
}

func differs(want map[string]string, d *Decision) string {
	got := d.fields()
	var diffs []string
	for key, text := range want {
		if got[key] != text {
			diffs = append(diffs, fmt.Sprintf("%s is %q, not %q", key, got[key], text))
		}
	}
	slices.Sort(diffs)
	return strings.Join(diffs, ", ")
}
