package rules_test

import (
	"testing"

	"github.com/nudged/nudged/rules"
)

// While a rule is paused its instances wait, and nothing fires at once; then
// they fire, those that are too late as expired.
func TestPaused(t *testing.T) {
	const text = `
experiments:
  x: {arms: [{name: control, weight: 1}, {name: treatment, weight: 1}], goal: {on: buy, within: 9d}}
rules:
  - {name: at_once, on: go, paused: PAUSED, send: {{send}}}
  - {name: waits, on: go, key: event.k, wait: 1d, paused: PAUSED, expire_after: 5d, unless: [{on: stop, where: event.k == trigger.k}], send: {{send}}}
  - name: led
    on: go
    paused: PAUSED
    steps: [{wait_for: {on: hit, within: 9d}, then: [{send: {{send}}}]}]
  - {name: tried, on: try, paused: PAUSED, experiment: x, send: {{send}}}
`
	running, paused := pinned(t, replace(text, "PAUSED", "false"), "treatment"), pinned(t, replace(text, "PAUSED", "true"), "treatment")
	p := played{state: &rules.State{}}
	p.play(t, running, "- by hand\n0s try id=a", false, false)
	p.play(t, paused, `
		- by hand
		0s go k=1 id=b
		1s go k=2 id=c
		3d go k=4 id=e
		3d try id=f
		4d hit id=g
		5d stop k=2 id=h
		5d buy id=i
		6d wall`, false, true)
	checkLines(t, p.lines, `
		0s tried sent arm=treatment
		5d waits/2 cancelled
		5d tried converted arm=treatment`)
	if _, ok := p.state.NextDue(paused); ok {
		t.Error("something of a paused rule is due")
	}
	if due, ok := p.state.NextDue(running); !ok || due != start+day {
		t.Errorf("next due %s", offset(due-start))
	}
	p.lines = nil
	p.step(running, rules.Input{Until: start + 7*day, Fired: start + 7*day}, false)
	checkLines(t, p.lines, `
		7d waits/1 expired
		7d waits/4 sent
		7d led sent`)
}
