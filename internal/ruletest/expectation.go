package ruletest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/eventtime"
	"github.com/nudged/nudged/rules/rulefile"
	"github.com/nudged/nudged/sinks"
)

// happened is one decision that was made.
type happened struct {
	sinks.Message
	at, due, expires int64
	order            int // in which they were decided
}

// expectation is one entry of expect: only the keys given are compared.
type expectation struct {
	item   item
	keys   []string // in the order given
	given  map[string]any
	places map[string]place
}

// kind says how a key of an expectation is compared.
type kind uint8

const (
	text   kind = iota // exactly
	moment             // a time, as an offset or RFC 3339
	whole              // a map, as a whole
	some               // a map, the values given
	value              // any value
	flag               // true or false
)

// field is one key that an expectation may have.
type field struct {
	name string
	kind kind
	// of returns what happened: a string, an int64 for a moment (0: none), a
	// map[string]json.RawMessage, a json.RawMessage, or a bool.
	of func(*happened) any
}

// fields are the keys, in the order in which they are told.
var fields = []field{
	{"at", moment, func(h *happened) any { return h.at }},
	{"user", text, func(h *happened) any { return h.User }},
	{"rule", text, func(h *happened) any { return h.Rule }},
	{"decision", text, func(h *happened) any { return h.Decision }},
	{"instance", text, func(h *happened) any { return h.Instance }},
	{"step", text, func(h *happened) any { return strconv.Itoa(h.Step) }},
	{"channel", text, func(h *happened) any { return h.Channel }},
	{"class", text, func(h *happened) any { return h.Class }},
	{"template", text, func(h *happened) any { return h.Template }},
	{"data", whole, func(h *happened) any { return h.Data }},
	{"because", some, func(h *happened) any { return h.Because }},
	{"label", text, func(h *happened) any { return h.Label }},
	{"experiment", text, func(h *happened) any { return h.Experiment }},
	{"arm", text, func(h *happened) any { return h.Arm }},
	{"due", moment, func(h *happened) any { return h.due }},
	{"expires", moment, func(h *happened) any { return h.expires }},
	{"trigger", text, func(h *happened) any { return h.Trigger.ID }},
	{"value", value, func(h *happened) any { return h.Value }},
	{"again", flag, func(h *happened) any { return h.Again }},
	{"guardrail", text, func(h *happened) any { return h.Guardrail }},
	{"first_exposure", flag, func(h *happened) any { return h.FirstExposure }},
}

// outcomes are the decisions that "decisions: fires" writes.
var outcomes = []string{
	string(rules.Sent), string(rules.ControlArm), string(rules.HeldOut), string(rules.Excluded), string(rules.Condition),
	string(rules.Cooldown), string(rules.NoConsent), string(rules.Quiet), string(rules.Deferred), string(rules.Capped),
	string(rules.Expired), string(rules.Cancelled), string(rules.RuleRemoved), string(rules.Converted),
	string(rules.GuardrailHit),
}

// ExpectKeys lists the keys of an entry of expect.
func ExpectKeys() []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return names
}

// Outcomes lists what may be expected as a decision.
func Outcomes() []string { return slices.Clone(outcomes) }

func fieldOf(name string) field {
	return fields[slices.IndexFunc(fields, func(f field) bool { return f.name == name })]
}

// expectation reads one entry of expect.
func (d *document) expectation(it item, start int64) *expectation {
	n := it.value
	o := d.object(n, "an expectation", ExpectKeys())
	if o == nil {
		return nil
	}
	x := &expectation{item: it, given: map[string]any{}, places: map[string]place{}}
	for _, e := range n.entries {
		if _, known := o[e.key]; !known {
			continue
		}
		x.keys = append(x.keys, e.key)
		x.places[e.key] = e.value.at
		switch f := fieldOf(e.key); f.kind {
		case moment:
			if ms, ok := d.moment(e.value, start, e.key); ok {
				x.given[e.key] = ms
			}
		case whole, some:
			if e.value.kind != mapNode {
				d.add(e.value.at, "write a map of names and values: {coupon: 10%}, or {} for none", "%s cannot be %s", e.key, e.value.kind)
				continue
			}
			values := map[string]any{}
			for _, v := range e.value.entries {
				values[v.key] = d.plain(v.value)
			}
			x.given[e.key] = values
		case value:
			x.given[e.key] = d.plain(e.value)
		case flag:
			x.given[e.key] = d.flag(e.value, e.key)
		case text:
			if e.value.kind == scalarNode {
				x.given[e.key] = e.value.text // "" is the instance of a rule without a key
			} else {
				d.add(e.value.at, "write a text", "%s is %s", e.key, e.value.kind)
			}
		}
	}
	if word, ok := x.given["decision"].(string); ok && !slices.Contains(outcomes, word) {
		d.add(x.places["decision"], rulefile.Suggest(word, outcomes, "decisions"), "no decision is called %q", word)
	}
	if len(n.entries) == 0 {
		d.add(n.at, "name at least the rule and the decision", "the expectation is empty")
	}
	return x
}

// plain turns a node into what JSON decodes to, numbers as json.Number.
func (d *document) plain(n *node) any {
	b, err := n.appendJSON(nil)
	if err != nil {
		d.add(n.at, "write another value", "%s", err)
		return nil
	}
	return decodeJSON(b)
}

func decodeJSON(b []byte) any {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil // what is encoded by this program decodes
	}
	return v
}

// matches tells whether a decision is what was expected.
func (x *expectation) matches(h *happened, start int64) bool {
	for _, key := range x.keys {
		if !x.agrees(key, h, start) {
			return false
		}
	}
	return true
}

// agrees compares one key.
func (x *expectation) agrees(key string, h *happened, start int64) bool {
	f, want := fieldOf(key), x.given[key]
	got := f.of(h)
	switch f.kind {
	case whole, some:
		wanted, values := want.(map[string]any), got.(map[string]json.RawMessage)
		if f.kind == whole && len(wanted) != len(values) {
			return false
		}
		for name, w := range wanted {
			raw, ok := values[name]
			if !ok || !equal(w, decodeJSON(raw), start) {
				return false
			}
		}
		return true
	case value:
		return equal(want, decodeJSON(got.(json.RawMessage)), start)
	}
	return want == got
}

// equal compares values as the rule language does: 1 equals 1.0. An offset equals
// the time that it leads to.
func equal(want, got any, start int64) bool {
	switch w := want.(type) {
	case json.Number:
		g, ok := got.(json.Number)
		if !ok {
			return false
		}
		if w == g {
			return true
		}
		a, err1 := w.Float64()
		b, err2 := g.Float64()
		// Whole numbers beyond 2^53 are told apart by their digits.
		_, err3 := w.Int64()
		_, err4 := g.Int64()
		return err1 == nil && err2 == nil && a == b && (err3 != nil || err4 != nil)
	case string:
		g, ok := got.(string)
		if !ok || w == g {
			return ok
		}
		gotTime, isTime := eventtime.ParseRFC3339([]byte(g))
		wantTime, ok := parseMoment(w, start)
		return isTime && ok && gotTime == wantTime
	case []any:
		g, ok := got.([]any)
		return ok && slices.EqualFunc(w, g, func(a, b any) bool { return equal(a, b, start) })
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for k := range w {
			if other, ok := g[k]; !ok || !equal(w[k], other, start) {
				return false
			}
		}
		return true
	}
	return want == got
}

// shown writes a key of a decision as a test file has it.
func (h *happened) shown(f field, start int64) string {
	switch v := f.of(h).(type) {
	case int64:
		if v == 0 {
			return ""
		}
		return formatMoment(v, start)
	case string:
		return v
	case json.RawMessage:
		return string(v)
	case map[string]json.RawMessage:
		return showValues(v)
	case bool:
		if v {
			return "true"
		}
	}
	return ""
}

// shown writes a key of the expectation.
func (x *expectation) shown(key string, start int64) string {
	switch v := x.given[key].(type) {
	case int64:
		return formatMoment(v, start)
	case string:
		if fieldOf(key).kind == text {
			return v
		}
	case map[string]any:
		raw := make(map[string]json.RawMessage, len(v))
		for k := range v {
			raw[k] = encode(v[k])
		}
		return showValues(raw)
	}
	return string(encode(x.given[key]))
}

// encode writes a decoded value; it comes from JSON, so it cannot fail.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
	return bytes.TrimSpace(b.Bytes())
}

// showValues writes a map as YAML on one line, nothing if it is empty.
func showValues(values map[string]json.RawMessage) string {
	if len(values) == 0 {
		return ""
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	b := []byte{'{'}
	for i, name := range names {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(appendScalar(b, name), ": "...)
		b = append(b, values[name]...)
	}
	return string(append(b, '}'))
}
