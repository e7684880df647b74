package rules_test

import "testing"

const windowRules = `
metrics:
  n: {count: [hit, both], within: 30d, reset: [clear, both]}
  dear: {count: hit, within: 30d, where: event.price > 100}
  ever: {count: hit}
  latest: {last: [hit, old], reset: clear}
rules:
  - name: ask
    on: [ask, both]
    send: {channel: push, class: ad, template: t, data: {n: n, dear: dear, ever: ever, latest: latest}}
  - name: wait
    on: go
    wait: 10d
    send: {channel: push, class: ad, template: t, data: {n: n, latest: latest}}
`

// A window is (t-W, t].
func TestWindow(t *testing.T) {
	runAll(t, windowRules, []scenario{
		{name: "1 ms less than W old is inside, exactly W old is not", script: `
			0s      hit
			30d-1ms ask
			30d     ask`, want: `
			29d23h59m59s999ms ask sent n=1 dear=0 ever=1 latest=0s
			30d ask sent n=0 dear=0 ever=1 latest=0s`},
		{name: "what happens at t is inside", script: `
			5d hit
			5d ask`, want: `5d ask sent n=1 dear=0 ever=1 latest=5d`},
		{name: "a rule sees the event that started it", script: `0s both`, want: `0s ask sent n=0 dear=0 ever=0`},
		{name: "where chooses what is counted", script: `
			0s hit price=100
			1s hit price=101
			2s ask`, want: `2s ask sent n=2 dear=1 ever=2 latest=1s`},
		{name: "a reset clears what names it", script: `
			0s hit price=101
			1s clear
			2s hit
			3s ask`, want: `3s ask sent n=1 dear=1 ever=2 latest=2s`},
		{name: "a reset applies after counting", script: `
			0s hit
			1s both
			2s ask`, want: `
			1s ask sent n=0 dear=0 ever=1 latest=0s
			2s ask sent n=0 dear=0 ever=1 latest=0s`},
		{name: "a reset clears a last", script: `
			0s hit
			1s clear
			2s ask`, want: `2s ask sent n=0 dear=0 ever=1`},
		{name: "last is the latest in time, not in arrival", script: `
			9s hit
			1s old
			9s ask`, want: `9s ask sent n=1 dear=0 ever=1 latest=9s`},
		{name: "a late occurrence enters at its own time", script: `
			10d ask
			5d  hit
			34d ask
			35d ask`, want: `
			10d ask sent n=0 dear=0 ever=0
			34d ask sent n=1 dear=0 ever=1 latest=5d
			35d ask sent n=0 dear=0 ever=1 latest=5d`},
		{name: "an occurrence a window too late enters nothing", script: `
			40d ask
			10d hit
			40d ask`, want: `
			40d ask sent n=0 dear=0 ever=0
			40d ask sent n=0 dear=0 ever=1 latest=10d`},
		{name: "a late event sees its own window, up to its time", script: `
			1d  hit
			10d hit
			10d hit
			5d  ask`, want: `5d ask sent n=1 dear=0 ever=3 latest=10d`},
		{name: "a late event does not see again what has left the window", script: `
			1d  hit
			5d  hit
			31d ask
			6d  ask`, want: `
			31d ask sent n=1 dear=0 ever=2 latest=5d
			6d ask sent n=1 dear=0 ever=2 latest=5d`},
	})
}

// A rule that waited asks as of its due time; what became known since counts.
func TestWindowOfAFiring(t *testing.T) {
	runAll(t, windowRules, []scenario{
		{name: "the window ends when it is due", script: `
			0s  hit
			21d go
			60d clock`, want: `31d wait sent n=0 latest=0s`},
		{name: "a millisecond less and it is inside", script: `
			0s  hit
			20d-1ms go
			60d clock`, want: `29d23h59m59s999ms wait sent n=1 latest=0s`},
		{name: "exactly W old is out", script: `
			0s  hit
			20d go
			60d clock`, want: `30d wait sent n=0 latest=0s`},
		{name: "what was known when a late trigger came counts, though it is after due", script: `
			12d hit
			1d  go
			11d clock`, want: `11d wait sent n=1 latest=12d`},
		{name: "what came after due and was applied before it fired counts", script: `
			- by hand
			0s  go
			11d hit
			12d wall`, want: `12d wait sent n=1 latest=11d`},
	})
}

// What has left its window takes no room in a stored state.
func TestStateForgetsWhatHasLeftItsWindow(t *testing.T) {
	set := compile(t, `
metrics:
  n: {count: hit, within: 30d}
rules:
  - {name: r, on: poke, wait: 1d, when: n == 0, send: {{send}}}
  - {name: s, on: [hit, poke], where: event.never == 1, cooldown: 30d, send: {{send}}}
`)
	size := func(script string) int { return len(play(t, set, script, false).state.Append(nil, set)) }
	with, without := size("0s hit\n30d-1ms poke"), size("0s other\n0s poke2\n30d-1ms poke")
	if with <= without {
		t.Errorf("a state with an occurrence has %d bytes, without one %d", with, without)
	}
	with, without = size("0s hit\n30d poke"), size("0s poke\n30d clock\n30d poke")
	if with != without {
		t.Errorf("a state whose only occurrence is W old has %d bytes, one without %d", with, without)
	}
}

const keyedRules = `
metrics:
  views: {count: view, by: event.item, within: 20m, reset: clear}
rules:
  - name: three
    on: [view, ask]
    when: views >= 3
    send: {channel: push, class: ad, template: t, data: {n: views}}
  - name: later
    on: ask
    wait: 10m
    send: {channel: push, class: ad, template: t, data: {item: trigger.item, n: views}}
`

// A count by a field is apart for each value; an expression sees the count for
// the event at hand, or for the triggering event when a rule that waited fires.
func TestCountByField(t *testing.T) {
	runAll(t, keyedRules, []scenario{
		{name: "values are apart", script: `
			0m view item=a
			1m view item=b
			2m view item=a
			3m view item=b
			4m view item=b
			5m view item=a`, want: `
			4m three sent n=3
			5m three sent n=3`},
		{name: "each has the same window", script: `
			0m  view item=a
			1m  view item=a
			20m view item=a
			20m view item=a`, want: `20m three sent n=3`},
		{name: "a number and the text of it are one value", script: `
			0m view item=7
			0m view item=7.0
			0m ask item=7
			10m clock`, want: `10m later sent item=7 n=2`},
		{name: "a rule that waited sees the count of its trigger", script: `
			0m  view item=a
			1m  view item=b
			2m  view item=b
			3m  ask item=b
			12m view item=a
			13m clock`, want: `13m later sent item=b n=2`},
		{name: "a value that was never counted has 0", script: `
			0m view item=a
			1m ask item=z
			11m clock`, want: `11m later sent item=z n=0`},
		{name: "a reset clears all values", script: `
			0m view item=a
			1m view item=b
			2m clear
			3m ask item=a
			13m clock`, want: `13m later sent item=a n=0`},
		{name: "an event without the field is not counted", script: `
			0m view item=a
			1m view
			2m ask item=a
			12m clock`, want: `12m later sent item=a n=1`},
	})
}

// A count by a field that the event at hand lacks has no value, whether or not
// anything is counted, and whether or not the state was stored in between.
func TestCountByFieldThatIsNotThere(t *testing.T) {
	const text = `
metrics:
  views: {count: view, by: event.item, within: 20m, reset: clear}
rules:
  - {name: none, on: ask, when: views == 0, send: {{send}}}
  - {name: other, on: poke, wait: 1d, send: {{send}}}
`
	runAll(t, text, []scenario{
		{name: "nothing was ever counted", script: `0m ask`, want: ``},
		{name: "something is counted", script: `
			0m view item=a
			1m ask`, want: ``},
		{name: "what was counted has left the window", script: `
			0m  view item=a
			30m poke
			31m ask`, want: ``},
		{name: "what was counted was reset", script: `
			0m view item=a
			1m clear
			2m ask`, want: ``},
		{name: "with the field it is 0", script: `
			0m ask item=a`, want: `0s none sent`},
	})
}
