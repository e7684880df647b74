package rules_test

import "testing"

const cartRule = `
rules:
  - name: cart
    on: add_to_cart
    wait: 7d
    unless: [{on: purchase}]
    send: {{send}}
`

func TestWaitAndUnless(t *testing.T) {
	runAll(t, cartRule, []scenario{
		{name: "fires when the wait is over", script: `
			0s  add_to_cart
			8d  clock`, want: `
			7d cart sent`},
		{name: "due at the clock's time is due", script: `
			0s  add_to_cart
			7d  clock`, want: `
			7d cart sent`},
		{name: "a millisecond earlier it is not", script: `
			0s  add_to_cart
			7d-1ms clock`, want: ``},
		{name: "what is due fires before the event of the same time is taken in", script: `
			0s  add_to_cart
			7d  purchase`, want: `
			7d cart sent`},
		{name: "unless ends it at once", script: `
			0s      add_to_cart
			7d-1ms  purchase
			8d      clock`, want: `
			6d23h59m59s999ms cart cancelled`},
		{name: "it fires once", script: `
			0s  add_to_cart
			7d  clock
			8d  clock
			9d  add_to_cart
			20d clock`, want: `
			7d cart sent
			16d cart sent`},
		{name: "a late trigger counts its wait from its own time", script: `
			6d  visit
			0s  add_to_cart
			6d  clock
			7d  clock`, want: `
			7d cart sent`},
		{name: "a trigger that comes a wait too late is due when it comes", script: `
			9d  purchase
			1d  add_to_cart
			9d  clock`, want: `
			8d cart sent`},
		{name: "unless works whatever its own time", script: `
			5d  add_to_cart
			0s  purchase
			12d clock`, want: `
			0s cart cancelled`},
		{name: "the wall clock fires later than due, and says when", script: `
			- by hand
			0s  add_to_cart
			9d  wall`, want: `
			9d cart sent`},
		{name: "an event that is applied before the wall clock gets there still cancels", script: `
			- by hand
			0s  add_to_cart
			8d  purchase
			9d  wall`, want: `
			8d cart cancelled`},
	})
}

func TestRestart(t *testing.T) {
	const script = `
		0s  add_to_cart n=1
		3d  add_to_cart n=2
		20d clock`
	const text = `
rules:
  - name: cart
    on: add_to_cart
    wait: 7d
    restart: RESTART
    send: {channel: push, class: ad, template: t, data: {n: trigger.n, now: now}}
`
	for _, c := range []struct{ name, restart, want string }{
		{"true: the new trigger takes over and the wait begins anew", "true", `10d cart sent n=2 now=10d`},
		{"false: ignored while one is pending", "false", `7d cart sent n=1 now=7d`},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkLines(t, play(t, compile(t, replace(text, "RESTART", c.restart)), script, false).lines, c.want)
		})
	}
	t.Run("the default is false", func(t *testing.T) {
		checkLines(t, play(t, compile(t, replace(text, "    restart: RESTART\n", "")), script, false).lines, `7d cart sent n=1 now=7d`)
	})
	t.Run("a late restart counts from its own time as well", func(t *testing.T) {
		checkLines(t, play(t, compile(t, replace(text, "RESTART", "true")), `
			3d  add_to_cart n=1
			1d  add_to_cart n=2
			20d clock`, false).lines, `8d cart sent n=2 now=8d`)
	})
	t.Run("a restart is armed anew", func(t *testing.T) {
		checkLines(t, play(t, compile(t, replace(text, "RESTART", "true")), script, true).lines, `
			0s cart armed
			3d cart armed
			10d cart sent n=2 now=10d`)
	})
}

func TestUnlessComesBeforeTheStartOfRules(t *testing.T) {
	// An event that both ends and starts: the pending instance ends, a new one
	// begins, which the same event does not end.
	runAll(t, `
rules:
  - name: idle
    on: [visit, ping]
    wait: 1d
    unless: [{on: visit}]
    send: {{send}}
`, []scenario{{name: "ended, and begun anew", script: `
			0s  visit
			12h visit
			3d  clock`, want: `
			12h idle cancelled
			1d12h idle sent`}})
}

func TestUnlessClauses(t *testing.T) {
	runAll(t, `
rules:
  - name: cart
    on: add_to_cart
    wait: 7d
    key: event.cart
    unless:
      - {on: purchase, where: event.cart == trigger.cart}
      - {on: [logout, deleted]}
    send: {{send}}
  - name: other
    on: add_to_cart
    wait: 7d
    unless: [{on: "*", where: event.stop == true}]
    send: {{send}}
`, []scenario{
		{name: "where compares with the trigger", script: `
			0s add_to_cart cart=k1
			0s add_to_cart cart=k2
			1d purchase cart=k2
			7d clock`, want: `
			1d cart/k2 cancelled
			7d cart/k1 sent
			7d other sent`},
		{name: "any clause, any type of a list, all instances", script: `
			0s add_to_cart cart=k1
			0s add_to_cart cart=k2
			1d deleted
			7d clock`, want: `
			1d cart/k1 cancelled
			1d cart/k2 cancelled
			7d other sent`},
		{name: "the star stands for types that no rule names", script: `
			0s add_to_cart cart=k1
			1d whatever stop=true
			7d clock`, want: `
			1d other cancelled
			7d cart/k1 sent`},
	})
}

func TestKeysAreApart(t *testing.T) {
	runAll(t, `
rules:
  - name: cart
    on: add_to_cart
    key: event.cart
    wait: 7d
    restart: true
    send: {{send}}
`, []scenario{
		{name: "each key has an instance of its own", script: `
			0s  add_to_cart cart=k1
			1d  add_to_cart cart=k2
			2d  add_to_cart cart=k1
			20d clock`, want: `
			8d cart/k2 sent
			9d cart/k1 sent`},
		{name: "numbers, truth values and times are keys too", script: `
			0s  add_to_cart cart=12
			1s  add_to_cart cart=1.5
			2s  add_to_cart cart=true
			20d clock`, want: `
			7d cart/12 sent
			7d1s cart/1.5 sent
			7d2s cart/true sent`},
		{name: "a key of 512 bytes is taken, one of 513 is not", script: `
			0s  add_to_cart cart=` + chars(512) + `
			0s  add_to_cart cart=` + chars(513) + `
			20d clock`, want: `
			7d cart/` + chars(512) + ` sent`},
		{name: "without the field nothing starts", script: `
			0s  add_to_cart
			20d clock`, want: ``},
		{name: "an array is no key", script: `
			0s  add_to_cart cart=[1]
			20d clock`, want: ``},
	})
}

func TestExpireAfter(t *testing.T) {
	const text = `
rules:
  - name: cart
    on: add_to_cart
    wait: 1d
    expire_after: 24h
    send: {{send}}
`
	runAll(t, text, []scenario{
		{name: "on time", script: `
			0s add_to_cart
			1d clock`, want: `1d cart sent`},
		{name: "exactly expire_after late is not expired", script: `
			- by hand
			0s add_to_cart
			2d wall`, want: `2d cart sent`},
		{name: "a millisecond later it is", script: `
			- by hand
			0s add_to_cart
			2d1ms wall`, want: `2d1ms cart expired`},
		{name: "the event clock is never late", script: `
			0s  add_to_cart
			90d clock`, want: `1d cart sent`},
	})
}

func TestOrderOfWhatIsDue(t *testing.T) {
	runAll(t, `
rules:
  - {name: c_low, on: go, wait: 2d, priority: -1, send: {{send}}}
  - {name: b_one, on: go, wait: 2d, send: {{send}}}
  - {name: a_two, on: go, wait: 2d, send: {{send}}}
  - {name: d_high, on: go, wait: 2d, priority: 5, send: {{send}}}
  - {name: e_late, on: go, wait: 3d, priority: 99, send: {{send}}}
`, []scenario{
		{name: "due time, then priority, then the order in the file", script: `
			0s go
			3d clock`, want: `
			2d d_high sent
			2d b_one sent
			2d a_two sent
			2d c_low sent
			3d e_late sent`},
		{name: "the same when the wall clock fires them together", script: `
			- by hand
			0s go
			4d wall`, want: `
			4d d_high sent
			4d b_one sent
			4d a_two sent
			4d c_low sent
			4d e_late sent`},
	})
}
