package rulefile

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/nudged/nudged/rules"
)

// start is 2026-01-01T00:00:00Z.
const start = int64(1767225600000)

// parseText compiles one file and fails the test if it is wrong.
func parseText(t testing.TB, text string, onlyCEL bool) *rules.Set {
	t.Helper()
	set, err := parse([]File{{Name: "test.yaml", Text: []byte(text)}}, onlyCEL)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return set
}

// fields are an event's own fields by name.
type fields map[string]rules.Value

// eventOf makes an event for the set.
func eventOf(s *rules.Set, id, typ string, at int64, f fields) *rules.Event {
	e := &rules.Event{ID: id, Type: typ, User: "u1", Time: at, Fields: make([]rules.Value, len(s.Fields))}
	for slot, name := range s.Fields {
		e.Fields[slot] = f[name]
	}
	return e
}

// worldRules have one expression each as a condition and as a value, asked at
// every event of type probe while an instance of waiting is pending.
const worldRules = `attributes:
  age:  {type: int, from: event.age, on: profile}
  tier: {type: string, from: event.tier, on: profile}
  vip:  {type: bool, from: event.vip, on: profile}
  seen: {type: timestamp, from: event.time, on: profile}
  rate: {type: float, from: event.rate, on: profile}
metrics:
  orders: {count: purchase, within: 1h}
  last_order: {last: purchase}
rules:
  - name: waiting
    on: trig
    wait: 30d
    unless: [{on: probe, where: %s}]
    send: {channel: c, class: ad, template: t}
  - name: immediate
    on: probe
    send: {channel: c, class: ad, template: t, data: {v: %s}}
`

// history is what happened before the probe.
var history = []struct {
	typ string
	at  int64
	f   fields
}{
	{"profile", 0, fields{"age": rules.IntValue(30), "tier": rules.StringValue("gold"), "vip": rules.BoolValue(true)}},
	{"purchase", 1000, nil},
	{"purchase", 2000, nil},
	{"trig", 3000, fields{"cart": rules.StringValue("k1"), "name": rules.StringValue("shoe"), "n": rules.IntValue(7)}},
}

var probeFields = fields{
	"cart":  rules.StringValue("k1"),
	"name":  rules.StringValue("dress"),
	"price": rules.FloatValue(9.5),
	"n":     rules.IntValue(3),
	"flag":  rules.BoolValue(true),
	"items": rules.JSONValue(`[{"sku":"a","qty":2},{"sku":"b","qty":1.5,"note":null}]`),
	"obj":   rules.JSONValue(`{"z":1,"a":{"b":"c"},"none":null}`),
	"a-b":   rules.IntValue(1),
	"이름":    rules.StringValue("바람막이"),
	"when":  rules.StringValue("2026-01-02T00:00:00Z"),
	"big":   rules.IntValue(1<<53 + 1),
}

// probe evaluates a condition and a value at the probe event.
func probe(t *testing.T, cond, value string, onlyCEL bool) (truth rules.Truth, v rules.Value) {
	t.Helper()
	set := parseText(t, fmt.Sprintf(worldRules, strconv.Quote(cond), strconv.Quote(value)), onlyCEL)
	where, read := set.Rules[0].Unless[0].Where, set.Rules[1].Program[0].Send.Data[0].Expr
	asked := false
	set.Rules[0].Unless[0].Where = func(env *rules.Env) rules.Truth {
		asked = true
		truth, v = where(env), read(env)
		return rules.False
	}
	state, out := &rules.State{}, &rules.Result{}
	for i, h := range history {
		set.Step(state, "u1", rules.Input{Event: eventOf(set, strconv.Itoa(i), h.typ, start+h.at, h.f)}, out)
	}
	set.Step(state, "u1", rules.Input{Event: eventOf(set, "p", "probe", start+5000, probeFields)}, out)
	if !asked {
		t.Fatal("the probe was not asked")
	}
	return truth, v
}

// backends runs a test with closures and with CEL alone.
func backends(t *testing.T, f func(t *testing.T, onlyCEL bool)) {
	t.Run("closures", func(t *testing.T) { f(t, false) })
	t.Run("CEL", func(t *testing.T) { f(t, true) })
}
