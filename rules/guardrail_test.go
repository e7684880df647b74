package rules_test

import (
	"testing"

	"github.com/nudged/nudged/rules"
)

const guardRules = `
experiments:
  x:
    arms: [{name: control, weight: 1}, {name: treatment, weight: 1}]
    goal: {on: buy, within: 3d}
    guardrails:
      - {name: left, on: unsubscribe, within: 2d, max_percent: 2}
      - {name: angry, on: [complaint, unsubscribe], where: event.bad != false, within: 9d, max_ratio: 1.5}
rules:
  - {name: r, on: go, experiment: x, send: {channel: push, class: transactional, template: t}}
`

func TestGuardrails(t *testing.T) {
	for _, c := range []struct{ name, arm, script, want string }{
		{"once for each guardrail, in its window, after goals", "treatment", `
			0s    go
			1d    unsubscribe bad=true
			1d1s  unsubscribe bad=true
			1d2s  complaint bad=true
			2d    buy`, `
			0s r sent arm=treatment first
			1d r guardrail arm=treatment left exposed 0s
			1d r guardrail arm=treatment angry exposed 0s
			2d r converted arm=treatment`},
		{"at the moment of the exposure is not after it; the last moment counts", "treatment", `
			0s go
			0s unsubscribe bad=true
			2d unsubscribe bad=true`, `
			0s r sent arm=treatment first
			2d r guardrail arm=treatment left exposed 0s
			2d r guardrail arm=treatment angry exposed 0s`},
		{"the control is watched as well, where holds back", "control", `
			0s    go
			2d1ms unsubscribe bad=false
			3d    complaint bad=true
			4d    go`, `
			0s r control arm=control first
			3d r guardrail arm=control angry exposed 0s
			4d r control arm=control`},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkLines(t, play(t, pinned(t, guardRules, c.arm), c.script, false).lines, c.want)
		})
	}
}

// Of who was exposed before there were guardrails nothing is told: among those hit
// would be users who are not among those exposed.
func TestGuardrailsWatchWhomTheyCount(t *testing.T) {
	before := pinned(t, `
experiments:
  x: {arms: [{name: control, weight: 1}, {name: treatment, weight: 1}], goal: {on: buy, within: 3d}}
rules:
  - {name: r, on: go, experiment: x, send: {channel: push, class: transactional, template: t}}
`, "treatment")
	after := pinned(t, guardRules, "treatment")
	p := played{state: &rules.State{}}
	p.play(t, before, "- by hand\n0s go id=a", false, true)
	p.play(t, after, "- by hand\n1s go id=b\n1d unsubscribe bad=true id=c\n2d buy id=d", false, true)
	checkLines(t, p.lines, `
		0s r sent arm=treatment
		1s r sent arm=treatment
		2d r converted arm=treatment`)
}

// A rule that asks for auto_pause has its exposures counted, with nothing else to
// look for.
func TestAutoPauseCountsExposures(t *testing.T) {
	set := pinned(t, `
experiments:
  x: {arms: [{name: control, weight: 1}, {name: treatment, weight: 1}]}
rules:
  - {name: r, on: go, experiment: x, auto_pause: true, send: {channel: push, class: transactional, template: t}}
`, "treatment")
	checkLines(t, play(t, set, `
		0s   go
		1s   go
		99d  go`, false).lines, `
		0s r sent arm=treatment first
		1s r sent arm=treatment
		99d r sent arm=treatment`)
}
