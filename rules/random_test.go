package rules_test

import (
	"fmt"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules"
)

// everythingRules use every part of a state: attributes of all types, metrics
// of all kinds, keys, restarts, kept fields, cooldowns, experiments.
const everythingRules = `
attributes:
  age:  {type: int, from: event.n, on: profile}
  rate: {type: float, from: event.n, on: profile}
  tier: {type: string, from: event.text, on: [profile, a]}
  vip:  {type: bool, from: event.flag, on: profile}
  seen: {type: timestamp, from: event.time, on: "*"}
  ok:   {type: bool, from: event.flag, on: [profile, b]}
  zone: {type: string, from: event.text, on: b}
metrics:
  ca:    {count: a, within: 1m, reset: reset}
  cb:    {count: "*", where: event.n > 3, within: 10s}
  by:    {count: [a, b], by: event.text, within: 1m, reset: reset}
  ever:  {count: a}
  last:  {last: b, reset: reset}
  first: {first: "*", reset: reset}
  sums:  {sum: event.n, on: [a, b], within: 30s}
  total: {sum: event.n, on: a, where: event.n != 4}
  texts: {distinct: event.text, on: [a, b], within: 40s}
  all:   {distinct: event.text, on: a, reset: reset}
  value: {value: event.text, on: "*"}
experiments:
  x:
    arms: [{name: control, weight: 1}, {name: treatment, weight: 1}]
    coverage: 80
    goal: {on: b, where: event.n != 1, within: 25s, value: event.n}
    guardrails:
      - {name: g, on: [a, b], where: event.n != 2, within: 40s, max_percent: 1}
      - {name: h, on: b, within: 5s, max_ratio: 2}
  y:
    arms: [{name: control, weight: 1}, {name: one, weight: 2}, {name: two, weight: 2}]
    phase: 3
    goal: {on: [profile, a], within: 60s}
holdout: {percent: 20, salt: s}
policy:
  caps:
    - {class: ad, max: 4, per: 30s}
    - {channel: sms, max: 1, per: 20s}
  quiet_hours:
    - {class: ad, from: "00:00", to: "00:01", timezone: user.zone, default_timezone: UTC, then: defer}
    - {class: ad, from: "09:02", to: "09:03", default_timezone: Asia/Seoul, then: skip}
  consent: {class: ad, require: ok, night: vip}
rules:
  - name: keyed
    on: a
    key: event.text
    wait: 20s
    restart: true
    unless: [{on: b, where: event.text == trigger.text}, {on: "*", where: event.n == 9}]
    when: ever < 1000 && by >= 0
    cooldown: 30s
    expire_after: 10s
    send: {channel: push, class: transactional, template: t, data: {text: trigger.text, items: trigger.items, by: by, last: last, until: now + duration("1h")}}
  - name: single
    on: "*"
    where: event.n != 4
    wait: 15s
    priority: 3
    experiment: x
    when: ca <= 3 || user.vip
    send: {channel: push, class: ad, template: t, data: {n: trigger.n, tier: user.tier, rate: user.rate, type: trigger.type}}
  - name: atonce
    on: [b, profile]
    cooldown: 7s
    when: cb >= 1 && by == 1
    send: {channel: push, class: transactional, template: t, data: {ca: ca, by: by, age: user.age, seen: user.seen}}
  - name: night
    on: [a, b]
    when: event.n != 5
    send: {channel: sms, class: ad, template: t, data: {n: event.n, text: trigger.text, sums: sums, total: total, texts: texts, all: all, first: first, value: value}}
  - name: series
    on: profile
    key: event.n
    restart: true
    cooldown: 40s
    expire_after: 60s
    experiment: y
    exit: [{on: reset}]
    steps:
      - send: {channel: push, class: ad, template: hello}
      - {wait: 5s, unless: [{on: b}]}
      - {wait_until: trigger.time + duration("8s")}
      - send: {channel: sms, class: ad, template: again}
        unless: [{on: a, where: event.n == 5}]
      - wait_for: {on: [a, b], where: event.text == value, within: 20s}
        then:
          - {wait_until: "now - duration('1s')"}
          - send: {channel: push, class: transactional, template: yes}
          - wait_for: {on: unnamed, within: 5s}
            then: [{send: {channel: push, class: transactional, template: yes2}}]
        else:
          - wait: 3s
          - send: {channel: push, class: ad, template: no}
          - send: {channel: push, class: transactional, template: no2}
      - send: {channel: push, class: ad, template: bye}
  - name: until
    on: a
    wait_until: trigger.time + duration(event.text)
    unless: [{on: reset}]
    send: {channel: push, class: transactional, template: t, data: {text: trigger.text}}
  - name: hourly
    schedule: {cron: "* * * * *"}
    audience: asked
    experiment: y
    steps:
      - send: {channel: push, class: ad, template: s1}
      - wait: 10s
      - send: {channel: push, class: transactional, template: s2}
  - name: waiting
    schedule: {cron: "*/2 * * * *"}
    steps:
      - wait: 30s
      - send: {channel: push, class: ad, template: w, data: {id: trigger.id}}
  - name: paused
    on: [a, b]
    paused: true
    steps:
      - wait: 5s
      - send: {channel: push, class: ad, template: t}
audiences:
  asked: ever >= 1
`

// randomInput draws an event or a move of the clock for a user whose newest
// event is at now.
func randomInput(t *rapid.T, set *rules.Set, now *int64, n int) rules.Input {
	switch rapid.IntRange(0, 13).Draw(t, "input") {
	case 0: // the event clock
		*now += rapid.Int64Range(0, 30_000).Draw(t, "moves by")
		return rules.Input{Until: *now}
	case 1: // the wall clock
		*now += rapid.Int64Range(0, 30_000).Draw(t, "moves by")
		return rules.Input{Until: *now, Fired: *now}
	case 2: // the next occurrence of a schedule, perhaps late
		occurring, at, ok := set.NextSchedule(*now - rapid.SampledFrom([]int64{0, 0, 60_000}).Draw(t, "occurred"))
		if !ok {
			break
		}
		*now = max(*now, at)
		return rules.Input{Sweep: occurring[len(occurring)-1], Until: at, Fired: at + rapid.SampledFrom([]int64{0, 1500}).Draw(t, "fired later"), Partition: 3}
	}
	at := *now + rapid.SampledFrom([]int64{0, 0, 1, 500, 3000, 15_000}).Draw(t, "after")
	if rapid.IntRange(0, 5).Draw(t, "late") == 0 {
		at = *now - rapid.Int64Range(0, 40_000).Draw(t, "late by")
	}
	*now = max(*now, at)
	id := "e" + strconv.Itoa(n)
	if rapid.IntRange(0, 9).Draw(t, "repeats") == 0 {
		id = "e" + strconv.Itoa(max(0, n-rapid.IntRange(1, 20).Draw(t, "back")))
	}
	var fields []string
	if rapid.IntRange(0, 4).Draw(t, "has text") > 0 {
		fields = append(fields, "text="+rapid.SampledFrom([]string{"k1", "k2", "장바구니", "", "x x", "true", "[1, 2]", "9s", "-1s", "Asia/Seoul"}).Draw(t, "text"))
	}
	if rapid.Bool().Draw(t, "has n") {
		fields = append(fields, "n="+rapid.SampledFrom([]string{"1", "4", "5", "9", "2.5", "-7"}).Draw(t, "n"))
	}
	if rapid.Bool().Draw(t, "has flag") {
		fields = append(fields, "flag="+rapid.SampledFrom([]string{"true", "false", "no"}).Draw(t, "flag"))
	}
	if rapid.Bool().Draw(t, "has items") {
		fields = append(fields, `items=[{"sku":"`+strconv.Itoa(n)+`"}]`)
	}
	typ := rapid.SampledFrom([]string{"a", "a", "a", "b", "b", "profile", "reset", "unnamed"}).Draw(t, "type")
	e := event(set, id, typ, at, fields...)
	e.Partition, e.Offset = 3, int64(n)
	return rules.Input{Event: e}
}

// stepAll applies inputs and returns every decision in full.
func stepAll(set *rules.Set, st *rules.State, user string, inputs []rules.Input, after func(i int)) []string {
	var told []string
	out := rules.Result{Verbose: true}
	for i, in := range inputs {
		out.Reset()
		set.Step(st, user, in, &out)
		told = append(told, inFull(&out)...)
		if after != nil {
			after(i)
		}
	}
	return told
}

// inFull writes out all of a result.
func inFull(out *rules.Result) []string {
	lines := []string{fmt.Sprintf("changed=%v duplicate=%v unread=%v missing=%d mismatches=%d",
		out.Changed, out.Duplicate, out.Unread, out.Missing, out.Mismatches)}
	if out.Refused > 0 {
		lines = append(lines, fmt.Sprint("refused ", out.Refused))
	}
	for _, d := range out.Decisions {
		template := ""
		if d.Send != nil {
			template = d.Send.Template
			d.Send = nil
		}
		lines = append(lines, fmt.Sprintf("%s %+v", template, d))
	}
	return lines
}

// randomUser draws one of a few users, who lie in different arms.
func randomUser(t *rapid.T) string {
	return rapid.SampledFrom([]string{"u1", "u2", "u3", "u4", "u5", "u6"}).Draw(t, "user")
}

func randomInputs(t *rapid.T, set *rules.Set, most int) []rules.Input {
	now := start
	inputs := make([]rules.Input, rapid.IntRange(1, most).Draw(t, "inputs"))
	for i := range inputs {
		inputs[i] = randomInput(t, set, &now, i)
	}
	return inputs
}

// The generator reaches every outcome that there is, else what is checked with
// it says little.
func TestRandomInputsReachEverything(t *testing.T) {
	set := compile(t, everythingRules)
	reached := map[rules.Outcome]bool{}
	rapid.Check(t, func(t *rapid.T) {
		st, out, user := &rules.State{}, rules.Result{Verbose: true}, randomUser(t)
		for _, in := range randomInputs(t, set, 60) {
			out.Reset()
			set.Step(st, user, in, &out)
			for _, d := range out.Decisions {
				reached[d.Outcome] = true
			}
		}
	})
	for _, o := range []rules.Outcome{
		rules.Sent, rules.ControlArm, rules.Excluded, rules.Condition, rules.Cooldown, rules.Expired, rules.Cancelled, rules.Armed,
		rules.NoConsent, rules.Quiet, rules.Deferred, rules.Capped, rules.HeldOut, rules.Converted,
	} {
		if !reached[o] {
			t.Errorf("no random run ever led to %s", o)
		}
	}
}

// Whenever NextDue says that something is due, the clock decides something then:
// a firing that it drives always writes a decision.
func TestTheClockDecidesWhatIsDue(t *testing.T) {
	set := compile(t, everythingRules)
	rapid.Check(t, func(t *rapid.T) {
		st, user := &rules.State{}, randomUser(t)
		stepAll(set, st, user, randomInputs(t, set, 40), nil)
		for turn := 0; ; turn++ {
			due, ok := st.NextDue(set)
			if !ok {
				return
			}
			if turn == 1000 {
				t.Fatalf("it never ends: %+v", st.Instances())
			}
			in := rules.Input{Until: due}
			if rapid.Bool().Draw(t, "late") {
				in.Fired = due + rapid.Int64Range(0, 40_000).Draw(t, "by")
			}
			before, _ := st.NextDue(set)
			out := rules.Result{}
			set.Step(st, user, rules.Input{Until: due - 1}, &out)
			if len(out.Decisions) > 0 || out.Changed {
				t.Fatalf("before %d: %+v", before, out)
			}
			set.Step(st, user, in, &out)
			if len(out.Decisions) == 0 || !out.Changed {
				t.Fatalf("at %d nothing was decided: %+v", due, st.Instances())
			}
		}
	})
}
