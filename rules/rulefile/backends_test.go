package rulefile

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules"
)

// The two back ends are compared on random expressions over random events and
// states. An expression is compiled twice, by closures where they reach and by
// CEL alone; Step brings the states about, and both are asked at every probe.

const backendRules = `attributes:
  ai: {type: int, from: event.f0, on: set}
  ad: {type: double, from: event.f1, on: set}
  as: {type: string, from: event.f2, on: set}
  ab: {type: bool, from: event.f3, on: set}
  at: {type: timestamp, from: event.f4, on: set}
metrics:
  pings: {count: ping, within: 10s}
  all_pings: {count: ping, where: event.f0 == 1}
  last_ping: {last: ping}
  same_f2: {count: probe, by: event.f2, within: 10s}
  sum_f0: {sum: event.f0, on: [ping, set], within: 1m}
  kinds_f2: {distinct: event.f2, on: "*", where: user.ai >= 0}
  first_ping: {first: ping, reset: trig}
  value_f4: {value: event.f4, on: [ping, probe]}
audiences:
  pinged: last_ping > now - duration("5s") || sum_f0 > 1
  known: pinged && user.ai > 0
rules:
  - name: waiting
    on: trig
    wait: 1h
    restart: true
    unless: [{on: probe, where: %s}]
    send: {channel: c, class: ad, template: t}
  - name: immediate
    on: probe
    send: {channel: c, class: ad, template: t, data: {v: %s}}
`

// exprGen draws the text of expressions.
type exprGen struct {
	t *rapid.T
}

func (g exprGen) pick(label string, options ...string) string {
	return rapid.SampledFrom(options).Draw(g.t, label)
}

func (g exprGen) dynamic() string {
	return g.pick("dynamic", "event.f0", "event.f1", "event.f2", "event.f3", "event.f4", "event.gone", "trigger.f0", "trigger.f1", "trigger.f2", "event['f1']", "value_f4")
}

func (g exprGen) text() string {
	return g.pick("text", `'a'`, `'ab'`, `''`, `'é'`, `"b"`, "user.as", "event.id", "event.type", "trigger.user", "trigger.type", "event.user", "trigger.id", `r'\d'`)
}

func (g exprGen) number() string {
	return g.pick("number", "0", "1", "-1", "2", "1.0", "0.5", "-0.0", "2u", "9007199254740993", "9007199254740992.0", "9223372036854775807",
		"-9223372036854775808", "9223372036854775807.0", "1e30", "-1e30", "user.ai", "user.ad", "pings", "all_pings", "same_f2", "sum_f0", "kinds_f2", "size('ab')", "pings + 1", "-user.ai")
}

func (g exprGen) length() string {
	d := g.pick("duration", `duration("1s")`, `duration("-1h")`, `duration("720h")`, `duration("1ms")`, `duration("1ns")`, `duration("87600h")`,
		"(now - last_ping)", "(event.time - trigger.time)", "(user.at - now)", `(timestamp("0001-01-01T00:00:00Z") - timestamp("2026-01-01T00:00:00.001Z"))`)
	if rapid.IntRange(0, 5).Draw(g.t, "sum") == 0 {
		return "(" + d + g.pick("sign", " + ", " - ") + `duration("2500000h"))`
	}
	return d
}

func (g exprGen) moment() string {
	m := g.pick("moment", "now", "event.time", "trigger.time", "last_ping", "first_ping", "user.at", `timestamp("2026-01-01T00:00:00Z")`, `timestamp("2026-01-01T09:00:00.5+09:00")`,
		`timestamp("9999-12-31T23:59:59.999Z")`, `timestamp("0001-01-01T00:00:00Z")`, `timestamp("2026-01-01T00:00:00.000001Z")`)
	switch rapid.IntRange(0, 4).Draw(g.t, "shift") {
	case 0:
		return "(" + m + g.pick("sign", " + ", " - ") + g.length() + ")"
	case 1:
		return "(" + g.length() + " + " + m + ")"
	}
	return m
}

// pair draws two operands that an ordering may compare.
func (g exprGen) pair() (string, string) {
	switch rapid.IntRange(0, 6).Draw(g.t, "pair") {
	case 0, 1:
		return g.number(), g.number()
	case 2:
		return g.text(), g.text()
	case 3:
		return g.moment(), g.moment()
	case 4:
		return g.length(), g.length()
	case 5:
		return g.dynamic(), g.dynamic()
	}
	other := rapid.SampledFrom([]func() string{g.number, g.text, g.boolean, g.dynamic, g.moment}).Draw(g.t, "other")()
	if rapid.Bool().Draw(g.t, "swap") {
		return other, g.dynamic()
	}
	return g.dynamic(), other
}

func (g exprGen) boolean() string {
	return g.pick("bool", "true", "false", "user.ab", "pinged", "known")
}

func (g exprGen) cond(depth int) string {
	if depth > 0 {
		switch rapid.IntRange(0, 9).Draw(g.t, "logic") {
		case 0, 1:
			return "(" + g.cond(depth-1) + " && " + g.cond(depth-1) + ")"
		case 2, 3:
			return "(" + g.cond(depth-1) + " || " + g.cond(depth-1) + ")"
		case 4:
			return "!" + g.cond(depth-1)
		case 5:
			return "(" + g.cond(depth-1) + " ? " + g.cond(depth-1) + " : " + g.cond(depth-1) + ")"
		case 6:
			return "(" + g.cond(depth-1) + " && " + g.cond(depth-1) + " && " + g.cond(depth-1) + " && " + g.cond(depth-1) + ")"
		}
	}
	switch rapid.IntRange(0, 10).Draw(g.t, "atom") {
	case 0, 1, 2:
		a, b := g.pair()
		return "(" + a + g.pick("order", " < ", " <= ", " > ", " >= ") + b + ")"
	case 3, 4:
		a, b := g.pair()
		return "(" + a + g.pick("equality", " == ", " != ") + b + ")"
	case 5:
		items := make([]string, rapid.IntRange(0, 4).Draw(g.t, "items"))
		for i := range items {
			items[i] = rapid.SampledFrom([]func() string{g.dynamic, g.number, g.text, g.boolean}).Draw(g.t, "item")()
		}
		return "(" + g.dynamic() + " in [" + strings.Join(items, ", ") + "])"
	case 6:
		return rapid.SampledFrom([]func() string{g.dynamic, g.text}).Draw(g.t, "target")() + g.pick("test", ".startsWith(", ".endsWith(", ".contains(") +
			rapid.SampledFrom([]func() string{g.dynamic, g.text}).Draw(g.t, "part")() + ")"
	case 7:
		return "has(" + g.pick("has", "event.f0", "event.gone", "event.id", "user.ai", "user.at", "trigger.f0", "trigger.time", "event.f4.k") + ")"
	case 8:
		return g.pick("alone", "true", "false", "user.ab", "event.f3", "event.f0", "trigger.f1", "pinged", "known", "value_f4")
	case 9:
		return "(" + g.cond(0) + " == " + g.cond(0) + ")"
	}
	return g.pick("other", "event.f4.k == 1", "event.f4[0] == 1", "size(event.f2) > 1", "event.f4.exists(x, x == 1)", "event.f2.matches('^a')",
		"event.f0 in event.f4", "event.f0 + 1 > 1", "event.f4 == [1, 'a']", "event.f4 == {'k': 1}", "event.f4.all(x, x in [1, 'k'])", "type(event.f0) == int",
		"event.f0 == null", "int(event.f1) > 0", "timestamp(event.f2) < now", "[1, 2].exists(i, i == event.f0)", "now.getHours() == 0")
}

func (g exprGen) value() string {
	return rapid.SampledFrom([]func() string{
		g.dynamic, g.number, g.text, g.boolean, g.moment, g.length,
		func() string { return g.cond(2) },
		func() string { return "[" + g.dynamic() + ", " + g.moment() + "]" },
		func() string { return "{'b': " + g.length() + ", 'a': " + g.dynamic() + "}" },
		func() string { return "event.f4.map(x, x)" },
		func() string { return "{'z': 1, 'b': 2, 'a': 3}.map(k, k)" },
		func() string { return g.cond(1) + " ? " + g.text() + " : " + g.text() },
	}).Draw(g.t, "value")()
}

var fieldValues = []rules.Value{
	{},
	rules.IntValue(0), rules.IntValue(1), rules.IntValue(-1), rules.IntValue(math.MaxInt64), rules.IntValue(math.MinInt64),
	rules.IntValue(1<<53 + 1), rules.IntValue(1 << 53),
	rules.FloatValue(0), rules.FloatValue(math.Copysign(0, -1)), rules.FloatValue(1), rules.FloatValue(0.5), rules.FloatValue(1 << 53),
	rules.FloatValue(1 << 63), rules.FloatValue(-(1 << 63)), rules.FloatValue(1e300),
	rules.StringValue(""), rules.StringValue("a"), rules.StringValue("ab"), rules.StringValue("é"), rules.StringValue("2025-12-31T23:59:59Z"),
	rules.BoolValue(true), rules.BoolValue(false),
	rules.JSONValue(`[1,"a"]`), rules.JSONValue(`[]`), rules.JSONValue(`{"k":1}`), rules.JSONValue(`{"k":null,"b":{"c":[1,null,2.5]}}`),
	rules.JSONValue(`{ "z" : 1, "k": "a" }`),
}

// backendSet compiles the two expressions, which may be refused.
func backendSet(t *rapid.T, cond, value string, onlyCEL bool) (*rules.Set, error) {
	text := fmt.Sprintf(backendRules, strconv.Quote(cond), strconv.Quote(value))
	return parse([]File{{Name: "backends.yaml", Text: []byte(text)}}, onlyCEL)
}

func TestBackendsAgree(t *testing.T) {
	accepted, known, compared := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		g := exprGen{t: t}
		condText, valueText := g.cond(3), g.value()
		fast, err := backendSet(t, condText, valueText, false)
		slow, errSlow := backendSet(t, condText, valueText, true)
		if (err == nil) != (errSlow == nil) {
			t.Fatalf("one back end refuses:\n%v\n%v", err, errSlow)
		}
		if err != nil {
			return
		}
		accepted++
		// Step runs on the fast set; what it asks is put to both.
		fastCond, slowCond := fast.Rules[0].Unless[0].Where, slow.Rules[0].Unless[0].Where
		fastValue, slowValue := fast.Rules[1].Program[0].Send.Data[0].Expr, slow.Rules[1].Program[0].Send.Data[0].Expr
		var check func(env *rules.Env)
		check = func(env *rules.Env) {
			if env.Event != nil && env.Trigger != nil {
				// A message that was put off is asked when the event is at hand no more.
				later := *env
				later.Event = nil
				check(&later)
			}
			a, b := fastCond(env), slowCond(env)
			if a != b {
				t.Fatalf("condition %s\nclosures: %v\nCEL:      %v\nevent:    %+v\ntrigger:  %+v", condText, a, b, env.Event, env.Trigger)
			}
			if a != rules.Unknown {
				known++
			}
			x, y := fastValue(env), slowValue(env)
			if x != y {
				t.Fatalf("value %s\nclosures: %+v\nCEL:      %+v\nevent:    %+v", valueText, x, y, env.Event)
			}
			compared++
		}
		fast.Rules[0].Unless[0].Where = func(env *rules.Env) rules.Truth {
			check(env)
			return rules.False
		}
		state := &rules.State{}
		at := int64(1767225600000) // 2026-01-01
		out := &rules.Result{}
		steps := rapid.IntRange(4, 12).Draw(t, "events")
		for i := range steps {
			kinds := []string{"set", "ping", "trig", "probe"}
			kind := kinds[min(i, len(kinds)-1)]
			if i > 4 {
				kind = rapid.SampledFrom(kinds).Draw(t, "type")
			}
			at += rapid.Int64Range(0, 6000).Draw(t, "gap")
			e := &rules.Event{ID: "e" + strconv.Itoa(i), Type: kind, User: "u1", Time: at, Fields: make([]rules.Value, len(fast.Fields))}
			for j := range e.Fields {
				if fast.Fields[j] != "gone" {
					e.Fields[j] = rapid.SampledFrom(fieldValues).Draw(t, fast.Fields[j])
				}
			}
			if kind == "set" {
				setAttributes(t, fast, e)
			}
			out.Reset()
			fast.Step(state, "u1", rules.Input{Event: e}, out)
		}
	})
	if accepted == 0 || known == 0 || compared == 0 {
		t.Fatalf("nothing was compared: %d expressions accepted, %d known truths, %d comparisons", accepted, known, compared)
	}
	t.Logf("%d expressions, %d comparisons, %d of them true or false", accepted, compared, known)
}

// setAttributes gives the event values that the attributes take, or none.
func setAttributes(t *rapid.T, s *rules.Set, e *rules.Event) {
	for slot, name := range s.Fields {
		if rapid.IntRange(0, 4).Draw(t, "missing") == 0 {
			e.Fields[slot] = rules.Value{}
			continue
		}
		switch name {
		case "f0":
			e.Fields[slot] = rapid.SampledFrom([]rules.Value{rules.IntValue(1), rules.IntValue(math.MaxInt64), rules.IntValue(math.MinInt64), rules.IntValue(0)}).Draw(t, "ai")
		case "f1":
			e.Fields[slot] = rapid.SampledFrom([]rules.Value{rules.FloatValue(1), rules.FloatValue(0.5), rules.FloatValue(1 << 53)}).Draw(t, "ad")
		case "f2":
			e.Fields[slot] = rapid.SampledFrom([]rules.Value{rules.StringValue("a"), rules.StringValue("ab")}).Draw(t, "as")
		case "f3":
			e.Fields[slot] = rules.BoolValue(rapid.Bool().Draw(t, "ab"))
		case "f4":
			e.Fields[slot] = rapid.SampledFrom([]rules.Value{rules.StringValue("2026-01-01T00:00:00Z"), rules.StringValue("0001-01-01T00:00:00Z"), rules.StringValue("9999-12-31T23:59:59.999Z")}).Draw(t, "at")
		}
	}
}
