package rules_test

import (
	"testing"

	"github.com/nudged/nudged/rules"
)

const seriesRules = `
rules:
  - name: s
    on: signup
    exit: [{on: purchase}]
    steps:
      - send: {channel: email, class: transactional, template: welcome}
      - wait: 2d
      - send: {channel: sms, class: ad, template: best}
      - wait_for: {on: click, where: event.of == "best" && event.n == trigger.n, within: 3d}
        then: [{send: {channel: push, class: ad, template: first}}]
        else: [{send: {channel: push, class: ad, template: smaller}}]
      - send: {channel: push, class: ad, template: bye}
`

func TestSteps(t *testing.T) {
	runAll(t, seriesRules, []scenario{
		{name: "nothing comes: the else branch, then what follows", script: `
			0s  signup n=1
			10d clock`, want: `
			0s s sent
			2d s#1 sent
			5d s#3 sent
			5d s#4 sent`},
		{name: "the event leads to the then branch at once, then on to what follows", script: `
			0s   signup n=1
			4d   click of=best n=1
			10d  clock`, want: `
			0s s sent
			2d s#1 sent
			4d s#2 sent
			4d s#4 sent`},
		{name: "an event that does not match does not", script: `
			0s  signup n=1
			3d  click of=other n=1
			4d  click of=best n=2
			10d clock`, want: `
			0s s sent
			2d s#1 sent
			5d s#3 sent
			5d s#4 sent`},
		{name: "an event before it has come to the wait_for does not count", script: `
			0s  signup n=1
			1d  click of=best n=1
			10d clock`, want: `
			0s s sent
			2d s#1 sent
			5d s#3 sent
			5d s#4 sent`},
		{name: "the last moment of the time is past", script: `
			0s  signup n=1
			5d  click of=best n=1
			10d clock`, want: `
			0s s sent
			2d s#1 sent
			5d s#3 sent
			5d s#4 sent`},
		{name: "on the wall clock too, before the clock has come to it", script: `
			- by hand
			0s  signup n=1
			2d  wall
			5d  click of=best n=1
			6d  wall`, want: `
			0s s sent
			2d s#1 sent
			6d s#3 sent
			6d s#4 sent`},
		{name: "a millisecond before it is not", script: `
			0s     signup n=1
			5d-1ms click of=best n=1`, want: `
			0s s sent
			2d s#1 sent
			4d23h59m59s999ms s#2 sent
			4d23h59m59s999ms s#4 sent`},
		{name: "exit ends it wherever it stands", script: `
			0s  signup n=1
			3d  purchase
			10d clock`, want: `
			0s s sent
			2d s#1 sent
			3d s#2 cancelled`},
		{name: "another trigger is ignored while it runs, and starts it anew when it is over", script: `
			0s  signup n=1
			1d  signup n=1
			5d  clock
			6d  signup n=1`, want: `
			0s s sent
			2d s#1 sent
			5d s#3 sent
			5d s#4 sent
			6d s sent`},
		{name: "after a send the wait runs from when it was decided, on the wall clock its reading", script: `
			- by hand
			0s  signup n=1
			3d  wall
			6d-1ms wall
			6d  wall`, want: `
			0s s sent
			3d s#1 sent
			6d s#3 sent
			6d s#4 sent`},
	})
}

// A wait that has run out counts on from its own end, however late that is seen.
func TestWaitsCountFromTheirEnds(t *testing.T) {
	runAll(t, `
rules:
  - name: r
    on: go
    steps:
      - wait: 1d
      - wait: 1d
      - {wait_for: {on: click, within: 1d}}
      - send: {{send}}
`, []scenario{
		{name: "by the clock", script: `
			- by hand
			0s  go
			5d  wall`, want: `5d r sent`},
		{name: "on time", script: `
			0s  go
			9d  clock`, want: `3d r sent`},
		{name: "led on by an event while it stands there", script: `
			0s go
			2d click`, want: `2d r sent`},
		{name: "not while it stands before", script: `
			0s go
			2d-1ms click
			9d clock`, want: `3d r sent`},
	})
}

const untilRules = `
attributes:
  due: {type: timestamp, from: event.due, on: profile}
rules:
  - name: first
    on: go
    wait_until: timestamp(event.until) - duration("1h")
    send: {channel: push, class: ad, template: t, data: {until: trigger.until}}
  - name: later
    on: start
    steps:
      - wait: 1d
      - wait_until: user.due
      - send: {{send}}
`

func TestWaitUntil(t *testing.T) {
	runAll(t, untilRules, []scenario{
		{name: "waits until then", script: `
			0s go until=2026-01-02T01:00:00Z
			9d clock`, want: `1d first sent until=2026-01-02T01:00:00Z`},
		{name: "a time in the past means now: it fires with its trigger", script: `
			2d go until=2026-01-02T01:00:00Z`, want: `2d first sent until=2026-01-02T01:00:00Z`},
		{name: "now means now", script: `
			1d go until=2026-01-02T01:00:00Z`, want: `1d first sent until=2026-01-02T01:00:00Z`},
		{name: "without a time it does not start", script: `
			0s go
			1s go until=tomorrow
			9d clock`, want: ``},
		{name: "a later one is asked when the instance comes to it", script: `
			0s profile due=2026-01-05T00:00:00Z
			0s start
			1d-1ms profile due=2026-01-03T00:00:00Z
			1d profile due=2026-01-09T00:00:00Z
			9d clock`, want: `2d later sent`},
		{name: "asked when the clock comes to it if no event has", script: `
			0s profile due=2026-01-05T00:00:00Z
			0s start
			9d clock`, want: `4d later sent`},
		{name: "in the past: at the moment when the instance comes to it", script: `
			0s profile due=2026-01-01T00:00:00Z
			0s start
			9d clock`, want: `1d later sent`},
		{name: "a later one without a time ends it", script: `
			0s start
			1d profile
			2d profile due=2026-01-05T00:00:00Z
			9d clock`, want: ``},
	})
	p := play(t, compile(t, untilRules), "0s go\n0s start\n2d profile", false)
	if p.missing != 2 || p.state.Pending() != 0 {
		t.Errorf("missing %d, want 2; %d pending", p.missing, p.state.Pending())
	}
}

const stepUnlessRules = `
rules:
  - name: r
    on: go
    unless: [{on: buy}]
    exit: [{on: leave}]
    steps:
      - {wait: 1d, unless: [{on: one, where: event.n == trigger.n}]}
      - {wait: 1d, unless: [{on: two}]}
      - wait_for: {on: hit, within: 1d}
        unless: [{on: three}]
        then: [{wait: 1d}, {send: {{send}}}]
        else: [{send: {{send}}}]
`

// unless of a step holds while the instance stands there, that of the rule
// always.
func TestUnlessOfAStep(t *testing.T) {
	runAll(t, stepUnlessRules, []scenario{
		{name: "the first step's", script: "0s go n=1\n 12h one n=2\n 13h one n=1", want: `13h r cancelled`},
		{name: "not after that", script: "0s go n=1\n 1d one n=1\n 9d clock", want: `3d r#1 sent`},
		{name: "the second's not before", script: "0s go\n 23h two\n 9d clock", want: `3d r#1 sent`},
		{name: "the second's", script: "0s go\n 1d two", want: `1d r cancelled`},
		{name: "of a wait_for", script: "0s go\n 2d three", want: `2d r cancelled`},
		{name: "not after it has been led on", script: "0s go\n 2d hit\n 2d three\n 9d clock", want: `3d r sent`},
		{name: "the rule's, anywhere", script: "0s go\n 2d hit\n 2d buy\n 9d clock", want: `2d r cancelled`},
		{name: "its other name", script: "0s go\n 2d hit\n 2d leave\n 9d clock", want: `2d r cancelled`},
	})
}

// Before an event leads a run on it may end it.
func TestUnlessGoesBeforeWaitFor(t *testing.T) {
	runAll(t, `
rules:
  - name: r
    on: go
    unless: [{on: hit, where: event.n == 1}]
    steps:
      - {wait_for: {on: hit, within: 1d}, then: [{send: {{send}}}]}
`, []scenario{
		{name: "ends", script: "0s go\n 1h hit n=1", want: `1h r cancelled`},
		{name: "leads on", script: "0s go\n 1h hit n=2", want: `1h r sent`},
		{name: "runs out without a word", script: "0s go\n 9d clock\n 9d hit\n 10d hit n=2", want: ``},
	})
}

// What decides nothing is no business of the clock.
func TestNextDueLooksAhead(t *testing.T) {
	set := compile(t, `
rules:
  - name: r
    on: go
    steps:
      - wait: 1d
      - wait_for: {on: hit, within: 2d}
        then: [{wait: 5d}, {send: {{send}}}]
        else: [{wait: 1d}, {send: {{send}}}]
  - name: silent
    on: quiet
    steps:
      - wait_for: {on: hit, within: 1d}
        then: [{send: {{send}}}]
`)
	p := played{state: &rules.State{}}
	due := func(want int64, pending int) {
		t.Helper()
		got, ok := p.state.NextDue(set)
		if ok != (want >= 0) || ok && got != start+want || p.state.Pending() != pending {
			t.Fatalf("next due %s %t, %d pending; want %s, %d", offset(got-start), ok, p.state.Pending(), offset(want), pending)
		}
	}
	p.play(t, set, "- by hand\n0s quiet", false, false)
	due(-1, 1)
	p.play(t, set, "- by hand\n0s go id=g", false, false)
	due(4*day, 2)
	// By the clock alone the silent one stays where it is.
	p.step(set, rules.Input{Until: start + 2*day, Fired: start + 2*day}, false)
	due(4*day, 2)
	p.play(t, set, "- by hand\n2d hit id=h", false, false)
	due(7*day, 1)
	p.step(set, rules.Input{Until: start + 7*day}, false)
	due(-1, 0)
	checkLines(t, p.lines, `7d r sent`)
}

// Restart begins the run anew, with the new trigger.
func TestRestartOfSteps(t *testing.T) {
	runAll(t, `
rules:
  - name: r
    on: go
    where: event.n < 9
    restart: true
    when: trigger.n != 5
    steps:
      - send: {channel: push, class: ad, template: t, data: {n: trigger.n}}
      - wait: 2d
      - send: {channel: push, class: ad, template: t, data: {n: trigger.n}}
`, []scenario{
		{name: "from the first step", script: "0s go n=1\n 1d go n=2\n 9d clock", want: `
			0s r sent n=1
			1d r sent n=2
			3d r#1 sent n=2`},
		{name: "a false condition is no trigger", script: "0s go n=1\n 1d go n=5\n 9d clock", want: `
			0s r sent n=1
			2d r#1 sent n=1`},
		{name: "and starts nothing", script: "0s go n=5\n 9d clock", want: ``},
	})
}

// What an event brings about goes by priority, then by the order of the file.
func TestPriority(t *testing.T) {
	const text = `
policy:
  caps: [{class: ad, max: 1, per: 1h}]
rules:
  - {name: low, on: go, send: {{send}}}
  - {name: high, on: go, priority: 2, send: {{send}}}
  - {name: same, on: go, priority: 2, send: {{send}}}
  - {name: waits, on: go, wait: 1d, priority: -1, send: {{send}}}
  - {name: waits2, on: go, wait: 1d, send: {{send}}}
  - name: then
    on: arm
    priority: 5
    steps: [{wait_for: {on: go, within: 9d}, then: [{send: {{send}}}]}]
`
	runAll(t, text, []scenario{
		{name: "at once", script: "0s go", want: `
			0s high sent
			0s same cap
			0s low cap`},
		{name: "a branch that the event leads to as well", script: "0s arm\n 1s go", want: `
			1s then sent
			1s high cap
			1s same cap
			1s low cap`},
		{name: "due at the same time", script: "0s go\n 1d clock", want: `
			0s high sent
			0s same cap
			0s low cap
			1d waits2 sent
			1d waits cap`},
	})
}

// Two sends one after the other are two firings; the second has the run's place.
func TestSendAfterSend(t *testing.T) {
	runAll(t, `
rules:
  - name: r
    on: go
    steps: [{send: {{send}}}, {send: {{send}}}, {wait: 1h}, {send: {{send}}}, {send: {{send}}}]
`, []scenario{
		{name: "by the event and by the clock", script: "0s go\n 1h clock", want: `
			0s r sent
			0s r#1 sent
			1h r#2 sent
			1h r#3 sent`},
		{name: "late", script: "- by hand\n 0s go\n 2h wall", want: `
			0s r sent
			0s r#1 sent
			2h r#2 sent
			2h r#3 sent`},
	})
}

// A step that is held back ends nothing, but condition, control and the like do.
func TestHeldBackStepsGoOn(t *testing.T) {
	text := func(arm string) *rules.Set {
		return pinned(t, `
attributes:
  ok: {type: bool, from: event.ok, on: [profile, go]}
metrics:
  bought: {count: buy}
policy:
  caps: [{channel: sms, max: 1, per: 30d}]
  consent: {class: ad, require: ok}
experiments:
  x: {arms: [{name: control, weight: 1}, {name: treatment, weight: 1}]}
rules:
  - name: r
    on: go
    key: event.k
    when: bought == 0
    cooldown: 10d
    expire_after: 6h
    experiment: x
    steps:
      - send: {channel: sms, class: ad, template: a}
      - wait: 1d
      - send: {channel: sms, class: ad, template: b}
      - wait: 1d
      - send: {channel: push, class: ad, template: c}
`, arm)
	}
	for _, c := range []struct{ name, arm, script, want string }{
		{"a cap holds the second back, the third goes out; its own sends do not cool it down", "treatment", `
			0s go ok=true k=1
			9d clock`, `
			0s r/1 sent arm=treatment
			1d r/1#1 cap
			2d r/1#2 sent arm=treatment`},
		{"consent", "treatment", `
			0s go k=1
			1h profile ok=true
			9d clock`, `
			0s r/1 consent
			1d r/1#1 sent arm=treatment
			2d r/1#2 sent arm=treatment`},
		{"another run of the rule is held back by the cooldown until it sends itself", "treatment", `
			0s go ok=true k=1
			9d go ok=true k=2
			20d clock`, `
			0s r/1 sent arm=treatment
			1d r/1#1 cap
			2d r/1#2 sent arm=treatment
			9d r/2 cooldown
			10d r/2#1 cooldown
			11d r/2#2 cooldown`},
		{"expired", "treatment", `
			- by hand
			0s go ok=true k=1
			2d wall
			3d wall`, `
			0s r/1 sent arm=treatment
			2d r/1#1 expired
			3d r/1#2 sent arm=treatment`},
		{"a condition ends it", "treatment", `
			0s go ok=true k=1
			1h buy
			9d clock`, `
			0s r/1 sent arm=treatment
			1d r/1#1 condition because bought=1`},
		{"control ends it", "control", `
			0s go ok=true k=1
			9d clock`, `
			0s r/1 control arm=control`},
	} {
		t.Run(c.name, func(t *testing.T) { checkLines(t, play(t, text(c.arm), c.script, false).lines, c.want) })
	}
}
