package ruletest

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/go-faster/jx"

	"github.com/nudged/nudged/internal/story"
	"github.com/nudged/nudged/rules/eventtime"
	"github.com/nudged/nudged/rules/rulefile"
)

// The keys of a test file, in the order in which they are told.
var (
	FileKeys  = []string{"rules", "start", "tests"}
	TestKeys  = []string{"name", "start", "arms", "holdout", "events", "until", "expect", "subset"}
	EventKeys = []string{"at", "type", "user", "id"} // and the event's own fields
)

// defaultStart is 2026-01-01T00:00:00Z.
const defaultStart = int64(1_767_225_600_000)

const momentForm = "write an offset from the start (0s, 90m, 6d, 1d12h) or a time as in 2026-01-01T09:00:00Z"

// read reads the file's tests and returns the rule files that it names.
func (f *File) read(root *node) []string {
	d := f.doc
	o := d.object(root, "a test file", FileKeys)
	if o == nil {
		return nil
	}
	start := defaultStart
	if e, ok := o["start"]; ok {
		start = d.instant(e.value, "start")
	}
	var ruleFiles []string
	if e, ok := o["rules"]; !ok {
		d.add(root.at, "add rules: [rules.yaml], the rule files relative to this file", "there is no rules")
	} else {
		ruleFiles = f.ruleFiles(e.value)
	}
	e, ok := o["tests"]
	if !ok {
		d.add(root.at, "add tests: with a list of tests", "there is no tests")
		return nil
	}
	names := map[string]int{}
	for _, it := range d.list(e.value, "tests", "- name: …") {
		t := f.test(it.value, start)
		if t == nil {
			continue
		}
		if line, twice := names[t.Name]; twice && t.Name != "" {
			d.add(it.value.at, "give each test a name of its own", "a test is called %q already, in line %d", t.Name, line)
		}
		names[t.Name] = t.Line
		f.Tests = append(f.Tests, t)
	}
	return ruleFiles
}

func (f *File) ruleFiles(n *node) []string {
	items := []item{{value: n}}
	if n.kind == listNode {
		items = n.items
	}
	if len(items) == 0 {
		f.doc.add(n.at, "name a rule file relative to this file", "rules is an empty list")
	}
	var paths []string
	for _, it := range items {
		if name, ok := f.doc.word(it.value, "a rule file"); ok {
			if !filepath.IsAbs(name) {
				name = filepath.Join(filepath.Dir(f.Path), name)
			}
			paths = append(paths, name)
		}
	}
	return paths
}

func (f *File) test(n *node, start int64) *Test {
	d := f.doc
	o := d.object(n, "a test", TestKeys)
	if o == nil {
		return nil
	}
	t := &Test{Line: n.at.line, start: start, fields: n, arms: map[string]string{}}
	if e, ok := o["name"]; ok {
		t.Name, _ = d.word(e.value, "name")
	} else {
		d.add(n.at, "add name: with what it shows", "the test has no name")
	}
	if e, ok := o["start"]; ok {
		t.start = d.instant(e.value, "start")
	}
	if e, ok := o["subset"]; ok {
		t.subset = d.flag(e.value, "subset")
	}
	if e, ok := o["holdout"]; ok {
		t.noHoldout = !d.flag(e.value, "holdout")
		if !t.noHoldout {
			d.add(e.value.at, "write holdout: false, or leave it out", "the holdout is on unless it is switched off")
		}
	}
	if e, ok := o["arms"]; ok {
		f.arms(t, e.value)
	}
	last := t.start
	if e, ok := o["events"]; !ok {
		d.add(n.at, "add events: with a list of events", "the test has no events")
	} else {
		for i, it := range d.list(e.value, "events", "- {at: 0s, type: search, user: u1}") {
			if ev, ok := d.event(it.value, t.start, i+1); ok {
				t.events = append(t.events, ev)
				last = max(last, ev.time)
			}
		}
	}
	if e, ok := o["until"]; ok {
		if until, ok := d.moment(e.value, t.start, "until"); ok {
			t.until = until
			if until < last {
				d.add(e.value.at, "leave it out, or write a later time", "until is before the last event")
			}
		}
	}
	e, ok := o["expect"]
	if !ok {
		return t // refused when it runs, unless it is to be written
	}
	if t.expectAt = e.at; e.value.kind == nullNode {
		return t
	}
	t.expectNode = e.value
	for _, it := range d.list(e.value, "expect", "- {at: 7d, user: u1, rule: cart_abandoned, decision: sent}, or [] for nothing") {
		if x := d.expectation(it, t.start); x != nil {
			t.expect = append(t.expect, x)
		}
	}
	return t
}

func (f *File) arms(t *Test, n *node) {
	if n.kind != mapNode {
		f.doc.add(n.at, "write {experiment: arm}", "arms cannot be %s", n.kind)
		return
	}
	for _, e := range n.entries {
		if arm, ok := f.doc.word(e.value, "the arm of "+e.key); ok {
			t.arms[e.key] = arm
		}
	}
}

// event reads one event; number, from 1, is the place among the test's events.
func (d *document) event(n *node, start int64, number int) (event, bool) {
	if n.kind != mapNode {
		d.add(n.at, "write it like {at: 0s, type: search, user: u1, query: water}", "an event cannot be %s", n.kind)
		return event{}, false
	}
	before := len(d.problems)
	ev := event{at: n.at}
	id := fmt.Sprintf("e%d", number)
	own := map[string]*node{}
	for _, e := range n.entries {
		own[e.key] = e.value
	}
	if e := own["time"]; e != nil {
		d.add(e.at, "write at:, an offset from the start or a time", "an event of a test has no time")
	}
	for _, key := range EventKeys[:3] {
		if own[key] == nil {
			d.add(n.at, "an event has at, type and user, beside fields of its own", "the event has no %s", key)
		}
	}
	if len(d.problems) > before {
		return event{}, false
	}
	ev.time, _ = d.moment(own["at"], start, "at")
	ev.typ, _ = d.word(own["type"], "type")
	ev.user, _ = d.word(own["user"], "user")
	if own["id"] != nil {
		id, _ = d.word(own["id"], "id")
	}
	b := append([]byte(`{"id":`), appendString(nil, id)...)
	b = appendString(append(b, `,"type":`...), ev.typ)
	b = appendString(append(b, `,"user":`...), ev.user)
	b = append(eventtime.AppendRFC3339(append(b, `,"time":"`...), ev.time), '"')
	for _, e := range n.entries {
		if slices.Contains(EventKeys, e.key) {
			continue
		}
		var err error
		if b, err = e.value.appendJSON(append(appendString(append(b, ','), e.key), ':')); err != nil {
			d.add(e.at, "write another value", "%s: %s", e.key, err)
			return event{}, false
		}
	}
	ev.value = append(b, '}')
	return ev, len(d.problems) == before
}

// instant reads a time of RFC 3339.
func (d *document) instant(n *node, what string) int64 {
	ms, ok := eventtime.ParseRFC3339([]byte(n.text))
	if n.kind != scalarNode || !ok {
		d.add(n.at, "write it as in 2026-01-01T09:00:00Z", "%s is no time of RFC 3339", what)
	}
	return ms
}

// moment reads an offset from the start, or a time.
func (d *document) moment(n *node, start int64, what string) (int64, bool) {
	if n.kind == scalarNode {
		if ms, ok := parseMoment(n.text, start); ok {
			return ms, true
		}
	}
	d.add(n.at, momentForm, "%s is no time", what)
	return 0, false
}

func parseMoment(text string, start int64) (int64, bool) {
	if ms, ok := eventtime.ParseRFC3339([]byte(text)); ok {
		return ms, true
	}
	if offset, err := rulefile.ParseDuration(text); err == nil {
		return start + offset, true
	}
	return 0, false
}

// formatMoment writes a time as an offset from the start, as it is read; one
// before the start in RFC 3339.
func formatMoment(ms, start int64) string {
	left := ms - start
	if left < 0 {
		return string(eventtime.AppendRFC3339(nil, ms))
	}
	return story.Span(left)
}

func appendString(dst []byte, s string) []byte {
	w := jx.Writer{Buf: dst}
	w.Str(s)
	return w.Buf
}
