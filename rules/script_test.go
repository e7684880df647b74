package rules_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/rulefile"
)

// The tests of this package tell what happens to one user as a script and what
// was decided as lines of text. Times are offsets from start:
//
//	0s  add_to_cart cart=k1 price=10.0    an event; before it the clock moves to it
//	7d  clock                             the event clock moves: what is due fires on time
//	9d  wall                              the wall clock moves: what is due fires at 9d
//	9d  sweep name                        the schedule of the rule occurs; with at=10d the clock reads 10d
//	-   by hand                           from here on events do not move the clock
//
// A decision reads "7d cart_abandoned sent arm=treatment coupon=10%".

// start is 2026-01-01T00:00:00Z, ms.
const start = int64(1_767_225_600_000)

// day and the like are spans in milliseconds.
const (
	second = int64(1000)
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
)

// compile makes a set of rule text, in which "{{send}}" stands for a message.
func compile(t testing.TB, text string) *rules.Set {
	t.Helper()
	text = strings.ReplaceAll(text, "{{send}}", "{channel: push, class: ad, template: t}")
	set, err := rulefile.Parse([]rulefile.File{{Name: "test.yaml", Text: []byte(text)}})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return set
}

// scenario is one row of a table: a script and the decisions it leads to.
type scenario struct {
	name    string
	script  string
	want    string
	verbose bool // decisions: all
}

// runAll plays each scenario against the rules.
func runAll(t *testing.T, text string, scenarios []scenario) {
	t.Helper()
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			checkLines(t, play(t, compile(t, text), s.script, s.verbose).lines, s.want)
		})
	}
}

func checkLines(t *testing.T, got []string, want string) {
	t.Helper()
	if diff := cmp.Diff(trimmedLines(want), append([]string{}, got...)); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}

func trimmedLines(text string) []string {
	lines := []string{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// played is what a script led to.
type played struct {
	state      *rules.State
	lines      []string
	commandIDs []string
	missing    int
	mismatches int
	duplicates int
	unread     int
}

// play plays a script for the user u1. It does so twice, once with the state
// stored and read back at every step: that must not change anything.
func play(t testing.TB, set *rules.Set, script string, verbose bool) played {
	t.Helper()
	kept, stored := playOnce(t, set, script, verbose, false), playOnce(t, set, script, verbose, true)
	if diff := cmp.Diff(kept.lines, stored.lines); diff != "" {
		t.Errorf("storing the state at every step changes the decisions (-kept +stored):\n%s", diff)
	}
	return kept
}

func playOnce(t testing.TB, set *rules.Set, script string, verbose, store bool) played {
	t.Helper()
	p := played{state: &rules.State{}, lines: []string{}}
	p.play(t, set, script, verbose, store)
	return p
}

// play plays a script on from where the state is.
func (p *played) play(t testing.TB, set *rules.Set, script string, verbose, store bool) {
	t.Helper()
	clock, byHand := int64(0), false
	for i, line := range trimmedLines(script) {
		words := strings.Fields(line)
		if line == "- by hand" {
			byHand = true
			continue
		}
		at := start + span(t, words[0])
		switch words[1] {
		case "clock":
			p.step(set, rules.Input{Until: at}, verbose)
			clock = max(clock, at)
		case "wall":
			p.step(set, rules.Input{Until: at, Fired: at}, verbose)
		case "sweep":
			in := rules.Input{Until: at, Partition: 1}
			for _, r := range set.Rules {
				if r.Name == words[2] {
					in.Sweep = r
				}
			}
			if len(words) > 3 {
				in.Fired = start + span(t, strings.TrimPrefix(words[3], "at="))
			}
			p.step(set, in, verbose)
		default:
			if !byHand && at > clock {
				p.step(set, rules.Input{Until: at}, verbose)
				clock = at
			}
			e := event(set, "e"+strconv.Itoa(i), words[1], at, words[2:]...)
			e.Offset = int64(i)
			p.step(set, rules.Input{Event: e}, verbose)
		}
		if store {
			blob := p.state.Append(nil, set)
			p.state = &rules.State{}
			if err := p.state.Decode(blob); err != nil {
				t.Fatalf("after %q: %v", line, err)
			}
		}
	}
}

func (p *played) step(set *rules.Set, in rules.Input, verbose bool) {
	out := rules.Result{Verbose: verbose}
	set.Step(p.state, "u1", in, &out)
	for i := range out.Decisions {
		p.lines = append(p.lines, describe(&out.Decisions[i]))
		p.commandIDs = append(p.commandIDs, out.Decisions[i].CommandID.String())
	}
	p.missing += out.Missing
	p.mismatches += out.Mismatches
	if out.Duplicate {
		p.duplicates++
	}
	if out.Unread {
		p.unread++
	}
}

// event makes an event of u1 with fields given as name=value; id= sets its id.
func event(set *rules.Set, id, typ string, at int64, fields ...string) *rules.Event {
	e := &rules.Event{ID: id, Type: typ, User: "u1", Time: at, Fields: make([]rules.Value, len(set.Fields))}
	for _, f := range fields {
		name, text, _ := strings.Cut(f, "=")
		if name == "id" {
			e.ID = text
		} else if slot := slices.Index(set.Fields, name); slot >= 0 {
			e.Fields[slot] = valueOf(text)
		}
	}
	return e
}

func valueOf(text string) rules.Value {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return rules.IntValue(i)
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return rules.FloatValue(f)
	}
	switch {
	case text == "true" || text == "false":
		return rules.BoolValue(text == "true")
	case strings.HasPrefix(text, "[") || strings.HasPrefix(text, "{"):
		return rules.JSONValue(text)
	}
	return rules.StringValue(text)
}

func describe(d *rules.Decision) string {
	var b strings.Builder
	b.WriteString(offset(d.At-start) + " " + d.Rule)
	if d.Instance != "" {
		b.WriteString("/" + d.Instance)
	}
	if d.Step > 0 {
		fmt.Fprintf(&b, "#%d", d.Step)
	}
	b.WriteString(" " + string(d.Outcome))
	if d.Arm != "" {
		b.WriteString(" arm=" + d.Arm)
	}
	if d.Outcome == rules.Converted {
		if d.Worth.Present() {
			b.WriteString(" worth " + textOf(d.Worth))
		}
		if d.Again {
			b.WriteString(" again")
		}
	}
	if d.First {
		b.WriteString(" first")
	}
	if d.Guardrail != "" {
		b.WriteString(" " + d.Guardrail + " exposed " + offset(d.Exposed-start))
	}
	for _, v := range d.Data {
		b.WriteString(" " + v.Name + "=" + textOf(v.Value))
	}
	for _, v := range d.Because {
		if d.Outcome != rules.Condition {
			break // TestBecause looks at the rest
		}
		b.WriteString(" because " + v.Name + "=" + textOf(v.Value))
	}
	return b.String()
}

func textOf(v rules.Value) string {
	switch text, ok := v.Text(); {
	case v.Kind == rules.Time:
		return offset(v.Int() - start)
	case ok:
		return text
	}
	return v.Str()
}

// span reads 7d, 1d12h, 6d-1ms.
func span(t testing.TB, text string) int64 {
	t.Helper()
	head, less, _ := strings.Cut(text, "-")
	days, rest, found := strings.Cut(head, "d")
	if !found {
		days, rest = "0", head
	}
	n, err := strconv.ParseInt(days, 10, 64)
	if err != nil {
		t.Fatalf("the offset %q: %v", text, err)
	}
	ms := n * day
	for _, part := range []struct {
		text string
		sign int64
	}{{rest, 1}, {less, -1}} {
		if part.text == "" {
			continue
		}
		d, err := time.ParseDuration(part.text)
		if err != nil {
			t.Fatalf("the offset %q: %v", text, err)
		}
		ms += part.sign * d.Milliseconds()
	}
	return ms
}

// offset writes what span reads.
func offset(ms int64) string {
	if ms < 0 {
		return "-" + offset(-ms)
	}
	text := ""
	for _, unit := range []struct {
		name string
		ms   int64
	}{{"d", day}, {"h", hour}, {"m", minute}, {"s", second}, {"ms", 1}} {
		if n := ms / unit.ms; n > 0 {
			text += fmt.Sprint(n) + unit.name
			ms -= n * unit.ms
		}
	}
	if text == "" {
		return "0s"
	}
	return text
}

func replace(text, old, new string) string { return strings.ReplaceAll(text, old, new) }

func equal[T comparable](a, b []T) bool { return slices.Equal(a, b) }

func chars(n int) string { return strings.Repeat("x", n) }
