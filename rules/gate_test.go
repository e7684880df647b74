package rules_test

import (
	"testing"

	"github.com/nudged/nudged/rules"
)

// gatedRules are held back by every gate that exists: expired from 2d on, the
// condition while there are orders, the cooldown for 5d, the experiment by arm.
const gatedRules = `
metrics:
  orders: {count: purchase, within: 30d}
experiments:
  x:
    arms: [{name: control, weight: 1}, {name: treatment, weight: 1}]
rules:
  - name: r
    on: go
    wait: 1d
    restart: true
    when: orders == 0
    cooldown: 5d
    expire_after: 1d
    experiment: x
    send: {{send}}
`

// pinned compiles the rules with everybody in one arm of every experiment.
func pinned(t *testing.T, text, arm string) *rules.Set {
	set := compile(t, text)
	for _, x := range set.Experiments {
		x.Pinned = arm
	}
	return set
}

// The first gate that holds back names the outcome: expired, condition,
// cooldown, control.
func TestOrderOfGates(t *testing.T) {
	const (
		sentBefore = "0s go\n 1d wall\n" // begins the cooldown, to 6d
		order      = "2d purchase\n"
		again      = "2d go\n"
	)
	for _, c := range []struct{ name, arm, script, want string }{
		{"nothing holds back", "treatment", again + "3d wall", `3d r sent arm=treatment`},
		{"control", "control", again + "3d wall", `3d r control arm=control`},
		{"cooldown before control", "control", sentBefore + again + "3d wall", `1d r control arm=control
			3d r cooldown`},
		{"condition before cooldown and control", "control", sentBefore + order + again + "3d wall", `1d r control arm=control
			3d r condition because orders=1`},
		{"condition before control", "control", order + again + "3d wall", `3d r condition because orders=1`},
		{"expired before condition, cooldown and control", "control", sentBefore + order + again + "4d1ms wall", `1d r control arm=control
			4d1ms r expired`},
		{"expired before cooldown and control", "control", sentBefore + again + "4d1ms wall", `1d r control arm=control
			4d1ms r expired`},
		{"expired before control", "control", again + "4d1ms wall", `4d1ms r expired`},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkLines(t, play(t, pinned(t, gatedRules, c.arm), "- by hand\n"+c.script, false).lines, c.want)
		})
	}
}

// Whatever was held back is over: it does not fire later.
func TestHeldBackIsOver(t *testing.T) {
	set := pinned(t, gatedRules, "treatment")
	p := play(t, set, `
		- by hand
		0s purchase
		0s go
		1d wall
		60d wall`, false)
	checkLines(t, p.lines, `1d r condition because orders=1`)
	if n := p.state.Pending(); n != 0 {
		t.Errorf("%d instances are pending", n)
	}
}

const cooldownRules = `
experiments:
  x:
    arms: [{name: control, weight: 1}, {name: treatment, weight: 1}]
    coverage: COVERAGE
rules:
  - name: r
    on: go
    cooldown: 24h
    experiment: x
    send: {{send}}
  - name: free
    on: free
    cooldown: 24h
    send: {{send}}
`

func TestCooldown(t *testing.T) {
	text := replace(cooldownRules, "COVERAGE", "100")
	for _, c := range []struct{ name, arm, script, want string }{
		{"held back until 24h after the last send, allowed exactly then", "treatment", `
			0s      go
			1d-1ms  go
			1d      go
			2d-1ms  go
			2d      go`, `
			0s r sent arm=treatment
			23h59m59s999ms r cooldown
			1d r sent arm=treatment
			1d23h59m59s999ms r cooldown
			2d r sent arm=treatment`},
		{"held back up to the last millisecond, however often it is asked", "treatment", `
			0s      go
			1d-1ms  go
			1d-1ms  go`, `
			0s r sent arm=treatment
			23h59m59s999ms r cooldown
			23h59m59s999ms r cooldown`},
		{"what was held back does not prolong it", "treatment", `
			0s  go
			12h go
			1d  go`, `
			0s r sent arm=treatment
			12h r cooldown
			1d r sent arm=treatment`},
		{"the virtual sends of the control arm count like real ones", "control", `
			0s  go
			12h go
			1d  go`, `
			0s r control arm=control
			12h r cooldown
			1d r control arm=control`},
		{"each rule has its own", "treatment", `
			0s go
			1s free
			2s go
			3s free`, `
			0s r sent arm=treatment
			1s free sent
			2s r cooldown
			3s free cooldown`},
		{"a late trigger is asked as of the user's newest event: the cooldown is over by then", "treatment", `
			0s  go
			3d  free
			12h go`, `
			0s r sent arm=treatment
			3d free sent
			12h r sent arm=treatment`},
		{"a late send counts from its own time", "treatment", `
			2d  free
			1d  go
			2d-1ms go
			2d  go`, `
			2d free sent
			1d r sent arm=treatment
			1d23h59m59s999ms r sent arm=treatment
			2d r cooldown`},
		{"a late trigger before the last send is inside the cooldown", "treatment", `
			3d go
			0s go`, `
			3d r sent arm=treatment
			0s r cooldown`},
		{"a late send does not shorten the cooldown of a later one", "treatment", `
			3d go
			4d go
			1d go
			5d-1ms go
			5d go`, `
			3d r sent arm=treatment
			4d r sent arm=treatment
			1d r cooldown
			4d23h59m59s999ms r cooldown
			5d r sent arm=treatment`},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkLines(t, play(t, pinned(t, text, c.arm), c.script, false).lines, c.want)
		})
	}
}

// On the wall clock the cooldown runs from when it was sent, not from when it
// was due.
func TestCooldownRunsFromTheSend(t *testing.T) {
	runAll(t, `
rules:
  - {name: r, on: go, wait: 1h, cooldown: 24h, send: {{send}}}
`, []scenario{{name: "sent 10h late", script: `
			- by hand
			0s        go
			11h       wall
			34h-1ms   go
			35h-1ms   wall
			34h       go
			35h       wall`, want: `
			11h r sent
			1d10h59m59s999ms r cooldown
			1d11h r sent`}})
}

func TestExperiments(t *testing.T) {
	const script = `
		0s  go
		12h go
		1d  go`
	t.Run("outside of the coverage is excluded, and starts no cooldown", func(t *testing.T) {
		// u1 has bucket 7161 under the salt "x"; of treatment's 5000..9999 the
		// first 43 % are 5000..7149.
		set := compile(t, replace(cooldownRules, "COVERAGE", "43"))
		checkLines(t, play(t, set, script, false).lines, `
			0s r excluded
			12h r excluded
			1d r excluded`)
	})
	t.Run("inside of the coverage takes part", func(t *testing.T) {
		set := compile(t, replace(cooldownRules, "COVERAGE", "44"))
		checkLines(t, play(t, set, "0s go", false).lines, `0s r sent arm=treatment`)
	})
	t.Run("a pinned arm wins over hash and coverage", func(t *testing.T) {
		text := replace(cooldownRules, "COVERAGE", "30")
		checkLines(t, play(t, pinned(t, text, "treatment"), "0s go", false).lines, `0s r sent arm=treatment`)
		checkLines(t, play(t, pinned(t, text, "control"), "0s go", false).lines, `0s r control arm=control`)
	})
	t.Run("a user who cannot be hashed is excluded", func(t *testing.T) {
		set := compile(t, replace(cooldownRules, "COVERAGE", "100"))
		out := rules.Result{}
		e := event(set, "e1", "go", start)
		e.User = "u\x001"
		set.Step(&rules.State{}, e.User, rules.Input{Event: e}, &out)
		if len(out.Decisions) != 1 || out.Decisions[0].Outcome != rules.Excluded {
			t.Errorf("decisions: %+v", out.Decisions)
		}
	})
}

const immediateRules = `
metrics:
  searches: {count: search, within: 30m, reset: product_view}
rules:
  - name: help
    on: search
    when: searches >= 3
    send: {channel: push, class: ad, template: t, data: {n: searches, q: trigger.query}}
  - name: idle
    on: search
    wait: 1h
    when: searches == 0
    send: {{send}}
`

// Without a wait the condition belongs to the trigger: false is no decision.
func TestImmediateRules(t *testing.T) {
	const script = `
		0s  search
		1s  search
		2s  search query=shoes
		1h  clock`
	runAll(t, immediateRules, []scenario{
		{name: "decisions: fires", script: script, want: `
			2s help sent n=3 q=shoes
			1h idle sent`},
		{name: "decisions: all", script: script, verbose: true, want: `
			0s idle armed
			0s help condition because searches=1
			1s help condition because searches=2
			2s help sent n=3 q=shoes
			1h idle sent`},
		{name: "of a rule that waits a false condition is a decision", script: `
			0s  search
			40m search
			1h  clock`, want: `1h idle condition because searches=1`},
	})
}

// The caller tells by Verbose what belongs to "decisions: all" alone.
func TestVerboseDecisionsAreMarked(t *testing.T) {
	set := compile(t, immediateRules)
	st, out := &rules.State{}, rules.Result{Verbose: true}
	for i, at := range []int64{0, second, 2 * second} {
		set.Step(st, "u1", rules.Input{Event: event(set, string(rune('a'+i)), "search", start+at)}, &out)
	}
	set.Step(st, "u1", rules.Input{Event: event(set, "d", "search", start+50*minute)}, &out)
	set.Step(st, "u1", rules.Input{Until: start + hour}, &out)
	type marked struct {
		outcome rules.Outcome
		waits   bool
		verbose bool
	}
	want := []marked{
		{rules.Armed, true, true},
		{rules.Condition, false, true},
		{rules.Condition, false, true},
		{rules.Sent, false, false},
		{rules.Condition, false, true},
		{rules.Condition, true, false},
	}
	var got []marked
	for _, d := range out.Decisions {
		got = append(got, marked{d.Outcome, d.Rule == "idle", d.Verbose})
	}
	if !equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
