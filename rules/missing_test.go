package rules_test

import "testing"

const missingRules = `
attributes:
  age:  {type: int, from: event.age, on: profile}
  seen: {type: timestamp, from: event.seen, on: profile}
metrics:
  orders:     {count: purchase, within: 30d}
  dear:       {count: purchase, within: 30d, where: event.price > 100}
  last_order: {last: purchase}
rules:
  - {name: where,   on: a, where: event.price > 10, send: {{send}}}
  - {name: unequal, on: a, where: event.price != 10, send: {{send}}}
  - {name: not,     on: a, where: "!(event.price > 10)", send: {{send}}}
  - {name: either,  on: a, where: event.price > 10 || event.vip == true, send: {{send}}}
  - {name: asked,   on: a, where: "!has(event.price)", send: {{send}}}
  - {name: age,     on: b, when: user.age >= 20, send: {{send}}}
  - {name: last,    on: b, when: last_order < now, send: {{send}}}
  - {name: count,   on: b, when: orders == 0, send: {{send}}}
  - name: data
    on: c
    wait: 1d
    send: {channel: push, class: ad, template: t, data: {name: trigger.name, age: user.age, last: last_order, n: orders, dear: dear}}
  - name: unless
    on: d
    wait: 1d
    unless: [{on: e, where: event.cart == trigger.cart}]
    send: {{send}}
`

// What an event or a user lacks makes a condition false and a value absent, and
// is counted. It is never an error.
func TestMissing(t *testing.T) {
	for _, c := range []struct {
		name, script, want string
		missing            int
	}{
		{"a field that is not there decides nothing, negated or not", `0s a`, `0s asked sent`, 4},
		{"a field of another type has no order", `0s a price=dear`, `0s unequal sent`, 3},
		{"the other side of || may decide", `0s a vip=true`, `
			0s either sent
			0s asked sent`, 3},
		{"all is there", `0s a price=11`, `
			0s where sent
			0s unequal sent
			0s either sent`, 0},
		{"no attribute, no last; a count of nothing is 0", `0s b`, `0s count sent`, 2},
		{"attribute and last are there", `
			0s profile age=20
			1s purchase price=1
			2s b`, `
			2s age sent
			2s last sent`, 0},
		{"a metric's where that cannot be told does not count", `
			0s purchase
			1s purchase price=101
			2s c name=shoe
			1d2s clock`, `1d2s data sent name=shoe last=1s n=2 dear=1`, 2},
		{"absent data is left out", `
			0s c
			1d clock`, `1d data sent n=0 dear=0`, 3},
		{"an unless that cannot be told does not end", `
			0s d
			1s e cart=k1
			2s e
			1d clock`, `1d unless sent`, 2},
		{"an unless with the field on both sides does", `
			0s d cart=k1
			1s e cart=k2
			2s e cart=k1
			1d clock`, `2s unless cancelled`, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := play(t, compile(t, missingRules), c.script, false)
			checkLines(t, p.lines, c.want)
			if p.missing != c.missing {
				t.Errorf("%d things were counted as missing, want %d", p.missing, c.missing)
			}
		})
	}
}

// The key of a rule that the event lacks is counted too.
func TestMissingKey(t *testing.T) {
	set := compile(t, `
rules:
  - {name: r, on: a, key: event.cart, wait: 1d, send: {{send}}}
`)
	p := play(t, set, `
		0s a
		1s a cart=`+chars(513)+`
		2s a cart=k
		2d clock`, false)
	checkLines(t, p.lines, `1d2s r/k sent`)
	if p.missing != 2 {
		t.Errorf("%d things were counted as missing, want 2", p.missing)
	}
}

// A value that an attribute cannot hold is counted and changes nothing; one
// that it can hold is converted.
func TestAttributes(t *testing.T) {
	const text = `
attributes:
  age:  {type: int, from: event.age, on: profile}
  rate: {type: float, from: event.rate, on: [profile, rated]}
  tier: {type: string, from: event.tier, on: "*"}
  seen: {type: timestamp, from: event.seen, on: profile}
rules:
  - name: show
    on: show
    send: {channel: push, class: ad, template: t, data: {age: user.age, rate: user.rate, tier: user.tier, seen: user.seen}}
`
	for _, c := range []struct {
		name, script, want string
		mismatches         int
	}{
		{"of each type", `
			0s profile age=20 rate=1.5 tier=gold seen=2026-01-01T00:00:05Z
			1s show`, `1s show sent age=20 rate=1.5 tier=gold seen=5s`, 0},
		{"the latest stands", `
			0s profile age=20
			1s profile age=21
			2s show`, `2s show sent age=21`, 0},
		{"latest in order of arrival, not in time", `
			9s profile age=20
			1s profile age=21
			9s show`, `9s show sent age=21`, 0},
		{"an event without the field changes nothing", `
			0s profile age=20
			1s profile tier=gold
			2s show`, `2s show sent age=20 tier=gold`, 0},
		{"integral numbers and RFC 3339 text are converted", `
			0s profile age=20.0 rate=3
			1s show`, `1s show sent age=20 rate=3`, 0},
		{"what cannot be held is counted, the old value stays", `
			0s profile age=20 rate=1.5 tier=gold seen=2026-01-01T00:00:05Z
			1s profile age=20.5 rate=high tier=3 seen=yesterday
			2s profile age=true rate=true tier=[1] seen=5
			3s show`, `3s show sent age=20 rate=1.5 tier=gold seen=5s`, 8},
		{"only from the events of its types", `
			0s rated age=20 rate=1.5 tier=gold
			1s other age=21 rate=2.5 tier=blue
			2s show`, `2s show sent rate=1.5 tier=blue`, 0},
		{"known to the rules of the same event", `0s show tier=gold`, `0s show sent tier=gold`, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := play(t, compile(t, text), c.script, false)
			checkLines(t, p.lines, c.want)
			if p.mismatches != c.mismatches {
				t.Errorf("%d values were counted as of another type, want %d", p.mismatches, c.mismatches)
			}
		})
	}
}
